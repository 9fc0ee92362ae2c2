/**
 * Gets a guest's file into memory and tells in what state the first processor starts: Linux
 * bzImages by the 16-, 32- and 64-bit boot protocols, multiboot kernels, flat binaries.
 */
@NullMarked
package org.kvm4j.vmm.boot;

import org.jspecify.annotations.NullMarked;
