package org.kvm4j.cpu.decode;

/**
 * Where the decoder gets the bytes of one instruction from, one after the other, and no byte before
 * it is needed: what a byte's fetch throws (a page fault, a limit violation) passes through the
 * decoder unchanged.
 */
public interface CodeSource {

  /** Returns the next byte of code, 0 to 255, and moves on. */
  int nextByte();

  /** Returns the number of bytes that were taken since the instruction began. */
  int position();
}
