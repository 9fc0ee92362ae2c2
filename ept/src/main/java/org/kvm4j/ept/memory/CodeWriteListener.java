package org.kvm4j.ept.memory;

/** Is told of stores to pages that hold translated code. */
@FunctionalInterface
public interface CodeWriteListener {
  /**
   * Bytes of a page marked as code were written. Called on the writing thread, after the store.
   *
   * @param hpa host-physical address of the first byte written
   * @param length number of bytes, not crossing a page
   */
  void codeWritten(long hpa, int length);
}
