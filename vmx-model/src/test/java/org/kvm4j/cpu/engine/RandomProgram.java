package org.kvm4j.cpu.engine;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * A program of random instructions of 64-bit mode in one page, with branches to one another: what
 * compilers make, and what they do not.
 */
final class RandomProgram {
  static final int SIZE = 4000;

  private final SplittableRandom random;
  private final ByteArrayOutputStream code = new ByteArrayOutputStream();
  private final List<Integer> starts = new ArrayList<>();

  /** Offsets of the 4-byte displacements of branches. */
  private final List<Integer> branches = new ArrayList<>();

  final byte[] bytes;

  /** Of a hundred instructions, how many are of SSE. */
  private final int vectors;

  RandomProgram(SplittableRandom random, int instructions) {
    this(random, instructions, 0);
  }

  RandomProgram(SplittableRandom random, int instructions, int vectors) {
    this.random = random;
    this.vectors = vectors;
    for (int k = 0; k < instructions && code.size() < SIZE; k++) {
      starts.add(code.size());
      instruction();
    }
    bytes = code.toByteArray();
    for (int at : branches) {
      int to = starts.get(random.nextInt(starts.size()));
      int displacement = to - (at + 4);
      for (int k = 0; k < 4; k++) {
        bytes[at + k] = (byte) (displacement >> 8 * k);
      }
    }
  }

  /** The offset of a random instruction. */
  int start() {
    return starts.get(random.nextInt(starts.size()));
  }

  private void put(int... values) {
    for (int value : values) {
      code.write(value);
    }
  }

  private boolean chance(int of) {
    return random.nextInt(of) == 0;
  }

  private void immediate(int size) {
    boolean small = chance(2);
    for (int k = 0; k < size; k++) {
      put(small && k > 0 ? 0 : random.nextInt(256));
    }
  }

  private int rex;

  /** Prefixes; the size in bytes of an immediate of the operand's size. */
  private int prefixes() {
    int size = 4;
    if (chance(8)) {
      put(0x66);
      size = 2;
    }
    if (chance(24)) {
      put(0xf0);
    }
    if (chance(24)) {
      put(random.nextBoolean() ? 0x64 : 0x65);
    }
    rex = 0x40 | random.nextInt(16);
    if (chance(4)) {
      rex = 0;
    } else {
      put(rex);
      if ((rex & 8) != 0) {
        size = 4;
      }
    }
    return size;
  }

  /** A ModR/M byte and what follows it. */
  private void modrm(int reg) {
    reg = reg & 7;
    if (reg == 4 && chance(2)) {
      reg = 0;
    }
    if (random.nextBoolean()) {
      int rm = random.nextInt(8);
      put(0xc0 | reg << 3 | (rm == 4 ? 0 : rm));
      return;
    }
    switch (random.nextInt(4)) {
      case 0 -> put(0x40 | reg << 3 | 3, random.nextInt(256)); // [rbx+disp8]
      case 1 -> put(0x40 | reg << 3 | 6, random.nextInt(256)); // [rsi+disp8]
      case 2 -> // [rbx+rdi*s+disp8]
          put(0x44 | reg << 3, random.nextInt(4) << 6 | 7 << 3 | 3, random.nextInt(256));
      default -> {
        put(5 | reg << 3); // [rip+disp32]: data behind the code, now and then the code itself
        int displacement = chance(6) ? random.nextInt(512) - 256 : 0x10000 + random.nextInt(4096);
        put(displacement, displacement >> 8, displacement >> 16, displacement >> 24);
      }
    }
  }

  private void branch(int... opcode) {
    put(opcode);
    branches.add(code.size());
    put(0, 0, 0, 0);
  }

  // Opcodes after 0F: those that have all of no prefix, 66, F3 and F2 first, then those with an
  // immediate byte, then those with no prefix and 66.
  private static final int[] WITH_EACH = {
    0x10, 0x11, 0x2a, 0x2c, 0x2d, 0x51, 0x58, 0x59, 0x5a, 0x5c, 0x5d, 0x5e, 0x5f
  };
  private static final int[] WITH_IMMEDIATE = {0xc2, 0xc6, 0x70};
  private static final int[] WITH_66 = {
    0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x28, 0x29, 0x2e, 0x2f, 0x50, 0x54, 0x55, 0x56, 0x57, 0x60,
    0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x74,
    0x75, 0x76, 0x7e, 0x7f, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
    0xe0, 0xe3, 0xe4, 0xe5, 0xe6, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0xf4, 0xf5, 0xf6,
    0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe
  };

  /** After 66 0F 38. */
  private static final int[] WITH_38 = {
    0x00, 0x0b, 0x10, 0x14, 0x1c, 0x28, 0x29, 0x2b, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e,
    0x3f, 0x40, 0xdb, 0xdc, 0xdd, 0xde, 0xdf
  };

  private int any(int[] of) {
    return of[random.nextInt(of.length)];
  }

  /** An instruction with XMM registers, most of them valid. */
  private void vector() {
    switch (random.nextInt(12)) {
      case 0 -> {
        put(0x66, 0x0f, 0x38, any(WITH_38));
        modrm(random.nextInt(8));
        return;
      }
      case 1 -> {
        // Shifts by an immediate.
        put(0x66, 0x0f, 0x71 + random.nextInt(3), 0xc0 | random.nextInt(64), random.nextInt(80));
        return;
      }
      case 2 -> {
        // CRC32.
        if (chance(4)) {
          put(0x66);
        }
        put(0xf2);
        if (chance(2)) {
          put(0x40 | random.nextInt(16));
        }
        put(0x0f, 0x38, 0xf0 + random.nextInt(2));
        modrm(random.nextInt(8));
        return;
      }
      default -> {}
    }
    int way = random.nextInt(10);
    if (way < 4) {
      int prefix = random.nextInt(4);
      if (prefix > 0) {
        put(prefix == 1 ? 0x66 : 0xf1 + prefix);
      }
    } else if (way < 9 || random.nextBoolean()) {
      put(0x66);
    } else if (random.nextBoolean()) {
      put(0xf3);
    }
    if (chance(2)) {
      put(0x40 | random.nextInt(16));
    }
    put(0x0f, way < 4 ? any(WITH_EACH) : way == 4 ? any(WITH_IMMEDIATE) : any(WITH_66));
    modrm(random.nextInt(8));
    if (way == 4) {
      put(random.nextInt(256));
    }
  }

  /** What kernels enter and leave with. */
  private void system() {
    switch (random.nextInt(6)) {
      case 0 -> put(0xfa); // cli
      case 1 -> put(0xfb); // sti
      case 2 -> put(0xfb, 0x90); // sti; nop
      case 3 -> put(0xfb, 0xeb, 0); // sti; jmp
      case 4 -> put(0x0f, 0x01, 0xf8); // swapgs
      default -> put(0x0f, 0x01, 0xca + random.nextInt(2)); // clac, stac
    }
  }

  private void instruction() {
    if (random.nextInt(100) < vectors) {
      vector();
      return;
    }
    switch (random.nextInt(24)) {
      case 0, 1, 2, 3 -> {
        prefixes();
        put(random.nextInt(8) << 3 | random.nextInt(4));
        modrm(random.nextInt(8));
      }
      case 4, 5 -> {
        int size = prefixes();
        int form = new int[] {0x80, 0x81, 0x83}[random.nextInt(3)];
        put(form);
        modrm(random.nextInt(8));
        immediate(form == 0x81 ? size : 1);
      }
      case 6, 7 -> {
        prefixes();
        put(0x84 + random.nextInt(8));
        modrm(random.nextInt(8));
      }
      case 8 -> {
        prefixes();
        put(0x8d);
        put(0x44 | random.nextInt(8) << 3, random.nextInt(256) & ~0x38 | 1 << 3, 8);
      }
      case 9 -> {
        prefixes();
        put(
            0x0f,
            new int[] {0xb6, 0xb7, 0xbe, 0xbf, 0xaf, 0xbc, 0xbd, 0xc1, 0xb1}[random.nextInt(9)]);
        modrm(random.nextInt(8));
      }
      case 10, 11 -> {
        prefixes();
        boolean constant = random.nextBoolean();
        put(constant ? 0xc0 + random.nextInt(2) : 0xd0 + random.nextInt(4));
        modrm(random.nextInt(8));
        if (constant) {
          immediate(1);
        }
      }
      case 12 -> {
        int size = prefixes();
        boolean wide = random.nextBoolean();
        int operation = random.nextInt(chance(8) ? 8 : 6);
        put(wide ? 0xf7 : 0xf6);
        modrm(operation);
        if (operation < 2) {
          immediate(wide ? size : 1);
        }
      }
      case 13 -> {
        prefixes();
        put(0xfe + random.nextInt(2));
        modrm(random.nextInt(2));
      }
      case 14 -> {
        int size = prefixes();
        boolean narrow = random.nextBoolean();
        put(narrow ? 0x6b : 0x69);
        modrm(random.nextInt(8));
        immediate(narrow ? 1 : size);
      }
      case 15 -> {
        prefixes();
        put(0x0f, 0x40 + random.nextInt(16));
        modrm(random.nextInt(8));
      }
      case 16 -> {
        prefixes();
        put(0x0f, 0x90 + random.nextInt(16));
        modrm(0);
      }
      case 17 -> {
        int r = random.nextInt(8);
        put(0x40 + random.nextInt(2), (random.nextBoolean() ? 0x50 : 0x58) + (r == 4 ? 0 : r));
      }
      case 18 -> {
        if (random.nextBoolean()) {
          put(0x6a);
          immediate(1);
        } else {
          prefixes();
          put(0x98 + random.nextInt(2));
        }
      }
      case 19 -> {
        prefixes();
        int r = random.nextInt(8);
        put(0xc7, 0xc0 | (r == 4 ? 0 : r));
        immediate(4);
      }
      case 20 -> {
        switch (random.nextInt(5)) {
          case 0 -> put(0xb9, random.nextInt(5), 0, 0, 0, 0xf3, 0xa4 + random.nextInt(2));
          case 1 -> put(0x0f, 0xba, 0xe0 | random.nextInt(32) & ~4, random.nextInt(64));
          case 2 -> put(0xf5 + 3 * random.nextInt(2)); // cmc, clc
          case 3 -> system();
          default -> branch(0xe8);
        }
      }
      case 21 -> branch(0xe9);
      default -> branch(0x0f, 0x80 + random.nextInt(16));
    }
  }
}
