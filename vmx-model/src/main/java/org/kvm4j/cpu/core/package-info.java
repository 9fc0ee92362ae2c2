/** The CPU's core: what the other packages of the CPU model share. */
@NullMarked
package org.kvm4j.cpu.core;

import org.jspecify.annotations.NullMarked;
