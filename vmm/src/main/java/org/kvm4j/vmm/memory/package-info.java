/** The guest's physical memory and its map. */
@NullMarked
package org.kvm4j.vmm.memory;

import org.jspecify.annotations.NullMarked;
