package org.kvm4j.kvm.module.emulate;

import java.util.Arrays;

/**
 * The accesses to devices of one instruction: answers to its reads, which are given again when the
 * instruction is taken up again, and its writes, which are kept until it is done.
 */
public final class DeviceAccesses {
  /** Device writes of one instruction at most: a whole XSAVE area in steps of one byte. */
  private static final int WRITES = 4096;

  private static final int ANSWERS = 1024;

  /** What there is room for at first: more than nearly all instructions have. */
  private static final int FEW = 16;

  private long[] answers = new long[FEW];
  private int answered;
  private int given;

  private boolean[] writePort = new boolean[FEW];
  private long[] writeAddress = new long[FEW];
  private int[] writeSize = new int[FEW];
  private long[] writeValue = new long[FEW];
  private int writes;

  /** The instruction begins, or is taken up again: what it reads is answered from the start. */
  public void begin() {
    given = 0;
    writes = 0;
  }

  // ---- reads ----

  /** Forgets answers: the instruction that they were for is done or given up. */
  public void clear() {
    answered = 0;
  }

  /** One more device or port read was answered. */
  public void answer(long value) {
    if (answered == answers.length) {
      answers = Arrays.copyOf(answers, 2 * answered);
    }
    answers[answered++] = value;
  }

  /** Whether more answers can be kept. */
  public int room() {
    return ANSWERS - answered;
  }

  /** Whether the next read has an answer. */
  public boolean hasAnswer() {
    return given < answered;
  }

  /** Whether there is an answer for the next read, and none after that. */
  public boolean isLast() {
    return given == answered - 1;
  }

  /** The answer to the next read. */
  public long next() {
    return answers[given++];
  }

  // ---- writes ----

  /**
   * Keeps a write.
   *
   * @return false if there are too many
   */
  public boolean write(boolean port, long address, int size, long value) {
    if (writes == WRITES) {
      return false;
    }
    if (writes == writePort.length) {
      writePort = Arrays.copyOf(writePort, 2 * writes);
      writeAddress = Arrays.copyOf(writeAddress, 2 * writes);
      writeSize = Arrays.copyOf(writeSize, 2 * writes);
      writeValue = Arrays.copyOf(writeValue, 2 * writes);
    }
    writePort[writes] = port;
    writeAddress[writes] = address;
    writeSize[writes] = size;
    writeValue[writes] = value;
    writes++;
    return true;
  }

  /** How many writes there are. */
  public int writes() {
    return writes;
  }

  /** Forgets the writes: they are done. */
  public void clearWrites() {
    writes = 0;
  }

  public boolean isPort(int k) {
    return writePort[k];
  }

  public long address(int k) {
    return writeAddress[k];
  }

  public int size(int k) {
    return writeSize[k];
  }

  public long value(int k) {
    return writeValue[k];
  }
}
