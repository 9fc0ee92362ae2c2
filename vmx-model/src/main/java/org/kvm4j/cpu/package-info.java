/** The CPU as its users see it: reset, run until an event, step, state in and out. */
@NullMarked
package org.kvm4j.cpu;

import org.jspecify.annotations.NullMarked;
