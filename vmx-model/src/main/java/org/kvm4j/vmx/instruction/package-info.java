/** The VMX instructions, VMXON to INVVPID. */
@NullMarked
package org.kvm4j.vmx.instruction;

import org.jspecify.annotations.NullMarked;
