package org.kvm4j.conformance.instructions;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What a program sees of a processor: general registers, RFLAGS, RIP, some memory. */
final class State {
  /** That there was no exception. */
  static final int NONE = 0xff;

  private static final String[] NAMES = {
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"
  };

  final long[] r = new long[16];
  int flags;
  long rip;
  byte[] memory;

  /** The exception that ended the code, or {@link #NONE}. */
  int exception = NONE;

  State(byte[] memory) {
    this.memory = memory;
  }

  /** Gives an input its value. */
  void set(Vectors.Item item, long value) {
    if (item.target() < Vectors.FLAGS) {
      r[item.target()] = value;
    } else if (item.target() == Vectors.FLAGS) {
      flags = (int) value;
    } else {
      for (int k = 0; k < item.width(); k++) {
        memory[item.target() - Vectors.MEMORY + k] = (byte) (value >>> (k * 8));
      }
    }
  }

  State copy() {
    State s = new State(memory.clone());
    System.arraycopy(r, 0, s.r, 0, 16);
    s.flags = flags;
    s.rip = rip;
    s.exception = exception;
    return s;
  }

  /**
   * Where another state is different, one line each; none if it is not.
   *
   * @param flagMask the flags that count
   * @param registers how many of them count: 8 or 16
   */
  List<String> differences(State other, int flagMask, int registers) {
    List<String> lines = new ArrayList<>();
    if (exception != other.exception) {
      lines.add(
          "exception: expected %s, got %s"
              .formatted(exceptionName(exception), exceptionName(other.exception)));
    }
    if (rip != other.rip) {
      lines.add("rip: expected %#x, got %#x".formatted(rip, other.rip));
    }
    for (int i = 0; i < registers; i++) {
      if (r[i] != other.r[i]) {
        lines.add("%s: expected %#x, got %#x".formatted(NAMES[i], r[i], other.r[i]));
      }
    }
    int wrong = (flags ^ other.flags) & flagMask;
    if (wrong != 0) {
      lines.add(
          "flags: expected %s, got %s (different: %s)"
              .formatted(flagNames(flags), flagNames(other.flags), flagNames(wrong)));
    }
    for (int i = 0; i < memory.length; i++) {
      if (memory[i] != other.memory[i]) {
        int end = i + 1;
        while (end < memory.length && memory[end] != other.memory[end]) {
          end++;
        }
        lines.add(
            "memory +%#x: expected %s, got %s"
                .formatted(
                    i,
                    Vectors.hex(Arrays.copyOfRange(memory, i, end)),
                    Vectors.hex(Arrays.copyOfRange(other.memory, i, end))));
        i = end;
      }
    }
    return lines;
  }

  static String registerName(int i) {
    return NAMES[i];
  }

  static String exceptionName(int vector) {
    return vector == NONE ? "none" : "#" + vector;
  }

  static String flagNames(int flags) {
    String[] names = {
      "CF", null, "PF", null, "AF", null, "ZF", "SF", "TF", "IF", "DF", "OF", null, null, "NT"
    };
    StringBuilder text = new StringBuilder("%#x".formatted(flags));
    for (int i = names.length - 1; i >= 0; i--) {
      if (names[i] != null && (flags >> i & 1) != 0) {
        text.append(' ').append(names[i]);
      }
    }
    return text.toString();
  }
}
