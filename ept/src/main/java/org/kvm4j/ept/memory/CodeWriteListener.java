package org.kvm4j.ept.memory;

/** Is told of pages that hold translated code, and of stores to them. */
public interface CodeWriteListener {
  /**
   * Bytes of a page marked as code were written. Called on the writing thread, after the store.
   *
   * @param hpa host-physical address of the first byte written
   * @param length number of bytes, not crossing a page
   */
  void codeWritten(long hpa, int length);

  /**
   * A page holds code from now on: no TLB may let stores to it pass. Called on the thread that is
   * about to read the code.
   *
   * @param hpaPage host-physical address of the page
   */
  default void codeMarked(long hpaPage) {}
}
