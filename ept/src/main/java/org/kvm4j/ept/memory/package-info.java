/** Host-physical address space: regions and their backing, the frame allocator. */
@NullMarked
package org.kvm4j.ept.memory;

import org.jspecify.annotations.NullMarked;
