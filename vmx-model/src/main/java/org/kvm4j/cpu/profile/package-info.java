/** CPU models: CPUID, MSRs, VMX and SVM capabilities, as data. */
@NullMarked
package org.kvm4j.cpu.profile;

import org.jspecify.annotations.NullMarked;
