package org.kvm4j.cpu.engine;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Random functions of 64-bit mode in three pages that call one another, directly and indirectly,
 * and return, mostly to where they were called; that overwrite one another's constants; and that
 * switch stacks and fault now and then.
 *
 * <p>They expect data at RBX, another stack in R12, and in R14 an address whose page ends soon,
 * before one that is not there.
 */
final class RandomCalls {
  /** Bytes from one function to the next. */
  private static final int SPACING = 0x100;

  private static final int FUNCTIONS = 0x3000 / SPACING;

  private static final int BODY = SPACING - 0x40;

  private final SplittableRandom random;
  private final ByteArrayOutputStream code = new ByteArrayOutputStream();

  /** Where constants are that are overwritten. */
  private final List<Integer> constants = new ArrayList<>();

  final byte[] bytes = new byte[FUNCTIONS * SPACING];

  private int start;

  RandomCalls(SplittableRandom random) {
    this.random = random;
    for (int pass = 0; pass < 2; pass++) {
      SplittableRandom r = random.split();
      for (int k = 0; k < FUNCTIONS; k++) {
        function(k * SPACING, r.nextInt(5));
      }
    }
  }

  /** The offset of a random function. */
  int start() {
    return random.nextInt(FUNCTIONS) * SPACING;
  }

  private void function(int at, int instructions) {
    start = at;
    code.reset();
    List<Integer> forward = new ArrayList<>();
    List<Integer> starts = new ArrayList<>();
    for (int k = 0; k < 4 + 4 * instructions && code.size() < BODY; k++) {
      starts.add(code.size());
      if (random.nextInt(8) == 0) {
        put(0x0f, 0x80 + random.nextInt(16));
        forward.add(code.size());
        put32(0);
      } else if (random.nextInt(24) == 0) {
        // A loop, as long as that flag says.
        put(0x0f, 0x80 + random.nextInt(16));
        put32(starts.get(random.nextInt(starts.size())) - (code.size() + 4));
      } else {
        instruction();
      }
    }
    starts.add(code.size());
    switch (random.nextInt(16)) {
      case 0 -> put(0xc2, 8 * random.nextInt(2), 0);
      case 1 -> branch(0xe9);
      case 2 -> put(0x41, 0xff, 0xe5); // jmp r13
      case 3 -> put(0x4c, 0x89, 0x6b, 0x40, 0xff, 0x63, 0x40); // mov [rbx+64], r13; jmp [rbx+64]
      default -> put(0xc3);
    }
    byte[] body = code.toByteArray();
    for (int from : forward) {
      int later = 0;
      while (starts.get(later) <= from) {
        later++;
      }
      int to = starts.get(later + random.nextInt(starts.size() - later));
      body[from] = (byte) (to - (from + 4));
    }
    System.arraycopy(body, 0, bytes, at, body.length);
  }

  private void put(int... values) {
    for (int value : values) {
      code.write(value);
    }
  }

  private void put32(int value) {
    put(value, value >> 8, value >> 16, value >> 24);
  }

  /** A displacement from behind it to an offset from the first function. */
  private void relative(int to) {
    put32(to - (start + code.size() + 4));
  }

  private void branch(int... opcode) {
    put(opcode);
    relative(start());
  }

  /** RAX, RCX or RDX; of bytes without REX also their second ones. */
  private int register() {
    return random.nextInt(3);
  }

  private void modrm(int reg, boolean bytes) {
    switch (random.nextInt(bytes ? 4 : 3)) {
      case 0 -> put(0x40 | reg << 3 | 3, random.nextInt(128)); // [rbx+disp8]
      case 3 -> put(0xc4 | reg << 3 & 0x38 | random.nextInt(3)); // ah, ch, dh
      default -> put(0xc0 | reg << 3 | register());
    }
  }

  private boolean operandSize() {
    switch (random.nextInt(4)) {
      case 0 -> put(0x66);
      case 1 -> put(0x48);
      case 2 -> {
        return random.nextBoolean();
      }
      default -> {}
    }
    return false;
  }

  private void instruction() {
    switch (random.nextInt(30)) {
      case 0, 1, 2, 3 -> {
        boolean bytes = operandSize();
        put(random.nextInt(8) << 3 | 2 * random.nextInt(2) | (bytes ? 0 : 1));
        modrm(register(), bytes);
      }
      case 4 -> {
        boolean bytes = operandSize();
        put(bytes ? 0xfe : 0xff);
        modrm(random.nextInt(2), bytes);
      }
      case 5 -> {
        boolean bytes = operandSize();
        put(bytes ? 0xf6 : 0xf7);
        modrm(2 + random.nextInt(2), bytes);
      }
      case 6 -> {
        boolean bytes = operandSize();
        put(bytes ? 0xc0 : 0xc1);
        modrm(random.nextInt(8), bytes);
        put(random.nextInt(3) == 0 ? 0 : random.nextInt(70));
      }
      case 7 -> {
        boolean bytes = operandSize();
        put(bytes ? 0xd2 : 0xd3);
        modrm(random.nextInt(8), bytes);
      }
      case 8 -> {
        operandSize();
        put(0x0f, random.nextBoolean() ? 0xaf : 0x40 + random.nextInt(16));
        modrm(register(), false);
      }
      case 9 -> {
        put(0x0f, 0x90 + random.nextInt(16));
        modrm(0, true);
      }
      case 10 -> put(0x9c, 0x58 + register()); // pushf; pop
      case 11 -> put(0x9e + random.nextInt(2)); // sahf, lahf
      case 12, 13, 14 -> branch(0xe8);
      case 15, 16 -> {
        put(0x4c, 0x8d, 0x2d); // lea r13, [rip+]
        relative(random.nextInt(40) == 0 ? 0x40000000 : start());
        if (random.nextInt(60) == 0) {
          put(0x49, 0x0f, 0xba, 0xed, 0x37); // bts r13, 55: no address any more
        }
        put(0x41, 0xff, 0xd5); // call r13
      }
      case 17 -> {
        put(0x4c, 0x8d, 0x2d);
        relative(start());
        put(0x4c, 0x89, 0x6b, 0x40, 0xff, 0x53, 0x40); // mov [rbx+64], r13; call [rbx+64]
      }
      case 18 -> put(0x50 + register(), 0x58 + register());
      case 19 -> {
        int way = random.nextInt(12);
        if (way == 0) {
          put(0x50 + register()); // an address to return to
        } else if (way == 1) {
          put(0x58 + register()); // one call less
        } else if (way == 2) {
          put(0x4c, 0x87, 0xe4); // xchg rsp, r12
        } else if (way == 3) {
          put(0x4c, 0x89, 0xf4); // mov rsp, r14
        } else if (way == 4) {
          put(0xe8, 0, 0, 0, 0, 0x58 + register()); // call the next; pop
        } else {
          put(0xf5 + 3 * random.nextInt(2)); // cmc, clc
        }
      }
      case 20, 21 -> {
        constants.add(start + code.size() + 1);
        put(0xb8 + register());
        put32(random.nextInt());
      }
      case 22 -> {
        if (!constants.isEmpty() && random.nextInt(3) == 0) {
          put(0x88 + random.nextInt(2), 5); // mov [rip+], al or eax
          relative(constants.get(random.nextInt(constants.size())));
        }
      }
      case 23 -> {
        // lea rdi, [rbx+512]; mov ecx, n; rep stosb or scasb
        put(0x48, 0x8d, 0xbb, 0, 2, 0, 0, 0xb9);
        put32(random.nextInt(random.nextBoolean() ? 8 : 6000));
        put(0xf3, random.nextBoolean() ? 0xaa : 0xae);
      }
      case 24 -> {
        put(0x48, 0x8d, 0x53, random.nextInt(64)); // lea rdx, [rbx+disp8]
        put(0xf3, 0x48, 0x0f, 0xae, 0xd2 + 8 * random.nextInt(2)); // wrfsbase, wrgsbase
      }
      case 25 -> {
        if (random.nextInt(4) == 0) {
          put(0x0f, 0x01, 0xf8); // swapgs
        }
        put(
            0x64 + random.nextInt(2),
            0x03,
            0x04 | 8 * register(),
            0x25,
            random.nextInt(64),
            0,
            0,
            0);
      }
      case 26 -> {
        if (random.nextInt(8) == 0) {
          // An operation on [r14+disp8]
          put(
              random.nextBoolean() ? 0x49 : 0x41,
              random.nextInt(8) << 3 | 1 + 2 * random.nextInt(2));
          put(0x46 | register() << 3, random.nextInt(12));
        }
      }
      case 27 ->
          put(0x0f, 0xb6 + random.nextInt(2) + 8 * random.nextInt(2), 0xc0 | register() << 3 | 4);
      case 28 -> put(0x48, 0x8d, 0x44, 0x8b, random.nextInt(256)); // lea rax, [rbx+rcx*4+disp8]
      default -> put(random.nextBoolean() ? 0x48 : 0x90, 0x98 + random.nextInt(2));
    }
  }
}
