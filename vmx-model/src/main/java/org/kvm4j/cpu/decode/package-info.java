/** Opcode tables, decoder, disassembler. */
@NullMarked
package org.kvm4j.cpu.decode;

import org.jspecify.annotations.NullMarked;
