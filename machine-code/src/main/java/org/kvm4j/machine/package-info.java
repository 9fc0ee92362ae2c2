/** An assembler for x86-64, memory for the code that it makes, and the way into that. */
@NullMarked
package org.kvm4j.machine;

import org.jspecify.annotations.NullMarked;
