package org.kvm4j.kvm.doctor;

/** How a tiny guest fared. */
public enum Outcome {
  /** It ran and gave the exit that it should. */
  OK("ok"),

  /** A system call refused something that the guest needs: its registers, its memory, the run. */
  REFUSED("refused"),

  /** It gave another exit, or the right one with wrong data. */
  WRONG_EXIT("wrong exit"),

  /** It gave no exit within the time limit; a kick ended it. */
  HANG("hangs"),

  /** It gave no exit within the time limit, and a kick did not end it either. */
  STUCK("stuck");

  private final String word;

  Outcome(String word) {
    this.word = word;
  }

  /** For people to read. */
  public String word() {
    return word;
  }
}
