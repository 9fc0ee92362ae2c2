/** Exceptions and interrupts: priority, delivery, double fault, task switch. */
@NullMarked
package org.kvm4j.cpu.event;

import org.jspecify.annotations.NullMarked;
