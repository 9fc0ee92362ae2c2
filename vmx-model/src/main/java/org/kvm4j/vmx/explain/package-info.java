/** Failed VM entries, VM exits and VMCS dumps, explained in words. */
@NullMarked
package org.kvm4j.vmx.explain;

import org.jspecify.annotations.NullMarked;
