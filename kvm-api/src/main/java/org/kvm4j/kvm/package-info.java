/** Typed handles over the KVM interface: Kvm, Vm, Vcpu, Device, and exits. */
@NullMarked
package org.kvm4j.kvm;

import org.jspecify.annotations.NullMarked;
