/** VMCS field table, VMCS region, control words. */
@NullMarked
package org.kvm4j.vmx.vmcs;

import org.jspecify.annotations.NullMarked;
