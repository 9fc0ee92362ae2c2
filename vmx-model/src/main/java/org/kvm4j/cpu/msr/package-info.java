/**
 * Model-specific registers as data: index, name, source, and what reading and writing them does.
 */
@NullMarked
package org.kvm4j.cpu.msr;

import org.jspecify.annotations.NullMarked;
