/** The system-call surface that both kernels implement. */
@NullMarked
package org.kvm4j.kvm.syscall;

import org.jspecify.annotations.NullMarked;
