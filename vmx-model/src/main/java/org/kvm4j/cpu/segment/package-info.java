/**
 * Descriptors, descriptor tables, loading of segment registers, stacks of other privilege levels.
 */
@NullMarked
package org.kvm4j.cpu.segment;

import org.jspecify.annotations.NullMarked;
