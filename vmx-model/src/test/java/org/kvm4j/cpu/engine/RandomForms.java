package org.kvm4j.cpu.engine;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * A program of any instructions of 64-bit mode, with any prefixes in any order: what is in the
 * opcode maps, each instruction as often as any other, and random bytes. What accesses memory
 * mostly has registers set before it so that it finds some: data, the code itself, a page that may
 * not be written, or the end of one that nothing follows.
 */
final class RandomForms {
  private static final int SIZE = 4000;

  /** What gives something else each time, or what nothing follows. */
  private static final Set<Opcode> NEVER =
      EnumSet.of(Opcode.RDRAND, Opcode.RDSEED, Opcode.HLT, Opcode.RDPMC, Opcode.MWAIT, Opcode.RSM);

  /** What mostly faults, or leads out of the program. */
  private static final Set<Opcode> RARE =
      EnumSet.of(
          Opcode.POPF,
          Opcode.UD0,
          Opcode.UD1,
          Opcode.UD2,
          Opcode.IN,
          Opcode.OUT,
          Opcode.INS,
          Opcode.OUTS,
          Opcode.LSS,
          Opcode.LFS,
          Opcode.LGS,
          Opcode.VMCALL,
          Opcode.VMFUNC,
          Opcode.XRSTOR,
          Opcode.IDIV);

  private static final Set<Opcode> KERNEL =
      EnumSet.of(Opcode.CLI, Opcode.STI, Opcode.SWAPGS, Opcode.INVLPG, Opcode.STAC);

  private static final Set<Opcode> BRANCHES =
      EnumSet.of(
          Opcode.JCC, Opcode.JMP_NEAR, Opcode.CALL_NEAR, Opcode.RET_NEAR, Opcode.LOOP, Opcode.JCXZ);

  private static final Set<Opcode> BIT_STRINGS =
      EnumSet.of(Opcode.BT, Opcode.BTS, Opcode.BTR, Opcode.BTC);

  private static final int[] PREFIXES = {
    0x66, 0x66, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67
  };

  /** Prefix that is part of the opcode or 0, whether REX.W is set, map, opcode, ModR/M. */
  private record Way(int prefix, int wide, int map, int opcode, int modrm) {}

  /** The ways to each instruction. */
  static final class Ways {
    private final List<List<Way>> all;

    Ways(Decoder decoder) {
      Map<Opcode, List<Way>> known = new EnumMap<>(Opcode.class);
      for (int prefix : new int[] {0, 0x66, 0xf3, 0xf2}) {
        for (int wide = 0; wide < 2; wide++) {
          for (int map = 0; map < 4; map++) {
            for (int opcode = 0; opcode < 256; opcode++) {
              for (int modrm = 0; modrm < 256; modrm += 8) {
                Way way = new Way(prefix, wide, map, opcode, modrm & 0x38);
                ByteArrayOutputStream code = new ByteArrayOutputStream();
                begin(code, way, 0);
                code.write(modrm);
                code.writeBytes(new byte[16]);
                Instruction i = decoder.decode(code.toByteArray(), 0, code.size(), 8);
                if (i.opcodeMap == map && i.opcodeByte == opcode && isWanted(i)) {
                  known.computeIfAbsent(i.opcode, k -> new ArrayList<>()).add(way);
                }
              }
            }
          }
        }
      }
      all = List.copyOf(known.values());
    }

    private static boolean isWanted(Instruction i) {
      return i.isValid()
          && !NEVER.contains(i.opcode)
          && !isRare(i)
          && !i.opcode.name().startsWith("F");
    }

    private static void begin(ByteArrayOutputStream code, Way way, int rex) {
      if (way.prefix != 0) {
        code.write(way.prefix);
      }
      if (way.wide != 0 || rex != 0) {
        code.write(0x40 | way.wide << 3 | rex);
      }
      if (way.map > 0) {
        code.write(0x0f);
      }
      if (way.map > 1) {
        code.write(way.map == 2 ? 0x38 : 0x3a);
      }
      code.write(way.opcode);
    }

    private Way any(SplittableRandom random) {
      List<Way> ofOne = all.get(random.nextInt(all.size()));
      return ofOne.get(random.nextInt(ofOne.size()));
    }
  }

  private static boolean isRare(Instruction i) {
    return i.isPrivileged && !KERNEL.contains(i.opcode)
        || i.isBranch && !BRANCHES.contains(i.opcode)
        || i.kind0 == OperandKind.SEGMENT
        || RARE.contains(i.opcode);
  }

  private final SplittableRandom random;
  private final Decoder decoder;
  private final Ways ways;
  private final ByteArrayOutputStream code = new ByteArrayOutputStream();
  private final List<Integer> starts = new ArrayList<>();

  /** Offsets of the 4-byte displacements of branches. */
  private final List<Integer> branches = new ArrayList<>();

  final byte[] bytes;

  RandomForms(SplittableRandom random, Decoder decoder, Ways ways, int instructions) {
    this.random = random;
    this.decoder = decoder;
    this.ways = ways;
    for (int k = 0; k < instructions && code.size() < SIZE; k++) {
      starts.add(code.size());
      instruction();
    }
    starts.add(code.size());
    branch(0xe9);
    bytes = code.toByteArray();
    for (int at : branches) {
      int displacement = start() - (at + 4);
      for (int k = 0; k < 4; k++) {
        bytes[at + k] = (byte) (displacement >> 8 * k);
      }
    }
  }

  /** The offset of a random instruction. */
  int start() {
    return starts.get(random.nextInt(starts.size()));
  }

  private boolean chance(int of) {
    return random.nextInt(of) == 0;
  }

  private void put(int... values) {
    for (int value : values) {
      code.write(value);
    }
  }

  private void put32(int value) {
    put(value, value >> 8, value >> 16, value >> 24);
  }

  private void branch(int... opcode) {
    put(opcode);
    branches.add(code.size());
    put32(0);
  }

  /** MOV of a value to a register. */
  private void set(int register, long value) {
    if (value == (int) value) {
      put(0x48 | register >> 3, 0xc7, 0xc0 | register & 7);
      put32((int) value);
    } else {
      put(0x48 | register >> 3, 0xb8 | register & 7);
      put32((int) value);
      put32((int) (value >> 32));
    }
  }

  /** Where memory is to be accessed. */
  private long place() {
    return switch (random.nextInt(16)) {
      case 0 -> SystemMachine.CODE + random.nextInt(2048);
      case 1 -> SystemMachine.PAGES + 0x1000 - random.nextInt(20);
      case 2 -> SystemMachine.PAGES + 0x3000 - random.nextInt(20);
      case 3 -> SystemMachine.DATA + 0x1000 - random.nextInt(20);
      case 4 -> SystemMachine.PAGES + random.nextInt(0x5000);
      case 5 -> SystemMachine.DATA + random.nextInt(4096);
      default -> SystemMachine.DATA + 16 * random.nextInt(64);
    };
  }

  private long value() {
    return switch (random.nextInt(8)) {
      case 0 -> 0;
      case 1 -> -1;
      case 2 -> 1L << random.nextInt(64);
      case 3 -> random.nextInt(256);
      case 4 -> place();
      case 5 -> (1L << random.nextInt(64)) - 1;
      default -> random.nextLong();
    };
  }

  /** Prefixes, opcode and ModR/M of an instruction of the maps. */
  private void known() {
    if (chance(5)) {
      put(PREFIXES[random.nextInt(PREFIXES.length)]);
    }
    if (chance(16)) {
      put(0xf0);
    }
    Way way = ways.any(random);
    Ways.begin(code, way, chance(3) ? 0 : random.nextInt(16));
    put(way.modrm | random.nextInt(8) | (chance(2) ? 0xc0 : random.nextInt(4) << 6));
  }

  /** Prefixes, opcode and ModR/M, whatever they are. */
  private void anything() {
    int prefixes = chance(3) ? 1 + random.nextInt(3) : 0;
    for (int k = 0; k < prefixes; k++) {
      put(chance(10) ? 0x40 + random.nextInt(16) : PREFIXES[random.nextInt(PREFIXES.length)]);
    }
    if (chance(12)) {
      put(0xf0);
    }
    if (!chance(3)) {
      put(0x40 | random.nextInt(16));
    }
    if (random.nextBoolean()) {
      put(0x0f);
    }
    put(random.nextInt(256), (chance(3) ? 0xc0 : random.nextInt(4) << 6) | random.nextInt(64));
  }

  /** A repeated MOVS or STOS: in a page or beyond, up or down, perhaps onto itself. */
  private void string() {
    set(
        Cpu.RCX,
        switch (random.nextInt(4)) {
          case 0 -> random.nextInt(700);
          case 1 -> 512;
          default -> random.nextInt(40);
        });
    long from = place();
    set(Cpu.RSI, from);
    set(
        Cpu.RDI,
        chance(3) ? from + random.nextInt(81) - 40 : chance(3) ? place() & ~0xfff : place());
    if (chance(4)) {
      put(0xfd); // std
    }
    if (chance(6)) {
      put(0x66);
    }
    put(0xf3);
    if (chance(2)) {
      put(0x48);
    }
    put((chance(2) ? 0xa4 : 0xaa) | random.nextInt(2));
    put(0xfc); // cld
  }

  private void instruction() {
    if (chance(20)) {
      string();
      return;
    }
    if (chance(14)) {
      branch(0x0f, 0x80 + random.nextInt(16));
      return;
    }
    if (chance(14)) {
      int register = random.nextInt(16);
      set(register == Cpu.RSP ? Cpu.RAX : register, value());
      return;
    }
    int begin = code.size();
    byte[] before = code.toByteArray();
    while (true) {
      if (chance(3)) {
        anything();
      } else {
        known();
      }
      // Perhaps a SIB byte, a displacement, an immediate.
      put(chance(2) ? random.nextInt(256) : 0x24 | random.nextInt(4) << 6);
      int rest = random.nextInt(3);
      for (int k = 0; k < 12; k++) {
        put(rest == 2 || k % 4 == 0 ? random.nextInt(256) : -rest);
      }
      byte[] all = code.toByteArray();
      Instruction i = decoder.decode(all, begin, all.length, 8);
      code.reset();
      code.writeBytes(before);
      boolean taken =
          (i.isValid() || chance(60)) && !NEVER.contains(i.opcode) && (!isRare(i) || chance(400));
      if (taken) {
        finish(i, Arrays.copyOfRange(all, begin, begin + Math.min(i.length, 15)));
        return;
      }
    }
  }

  /** Puts an instruction, and before it what it needs. */
  private void finish(Instruction i, byte[] one) {
    boolean memory =
        i.kind0 == OperandKind.MEMORY
            || i.kind1 == OperandKind.MEMORY
            || i.kind2 == OperandKind.MEMORY;
    if (memory && i.isValid()) {
      address(i, one);
    }
    if (i.isString && (i.rep || i.repne)) {
      set(Cpu.RCX, random.nextInt(20));
      set(Cpu.RSI, place());
      set(Cpu.RDI, place());
    }
    if (i.opcode == Opcode.DIV && !chance(3)) {
      put(0x31, 0xd2); // xor edx, edx
    }
    if (i.opcode == Opcode.CMPXCHG16B || i.opcode == Opcode.CMPXCHG && chance(2)) {
      set(Cpu.RAX, random.nextInt(2) - 1);
      set(Cpu.RDX, random.nextInt(2) - 1);
    }
    if (BRANCHES.contains(i.opcode)) {
      if (i.kind0 == OperandKind.GPR && i.reg0 != Cpu.RSP) {
        branch(0x48 | i.reg0 >> 1 & 4, 0x8d, 5 | (i.reg0 & 7) << 3); // lea reg, [rip + ...]
      } else if (i.opcode == Opcode.RET_NEAR) {
        branch(0x48, 0x8d, 5); // lea rax, [rip + ...]
        put(0x50); // push rax
      } else if (i.kind0 == OperandKind.RELATIVE && one.length >= 5) {
        code.write(one, 0, one.length - 4);
        branch();
        return;
      }
    }
    code.writeBytes(one);
    if (chance(8)) {
      put(0x9c, 0x58 + random.nextInt(4)); // pushf; pop reg
    }
  }

  /** Has an instruction find memory, mostly. */
  private void address(Instruction i, byte[] one) {
    if (i.base == Instruction.RIP) {
      int at = displacement(i, one);
      if (at > 0 && !chance(8)) {
        long to = place() - (SystemMachine.CODE + code.size() + one.length);
        for (int k = 0; k < 4; k++) {
          one[at + k] = (byte) (to >> 8 * k);
        }
      }
      return;
    }
    if (chance(10)) {
      return;
    }
    long left = place() - i.displacement;
    if (i.index != Instruction.NO_REGISTER && i.index != i.base) {
      long index = random.nextInt(40) - 20;
      set(i.index, index);
      left -= index << i.scale;
    }
    if (i.base < Instruction.NO_REGISTER && (i.base != Cpu.RSP || chance(2))) {
      set(i.base, left);
    }
    if (BIT_STRINGS.contains(i.opcode)
        && i.kind1 == OperandKind.GPR
        && i.reg1 != i.base
        && i.reg1 != i.index
        && i.reg1 != Cpu.RSP) {
      set(i.reg1, random.nextInt(4096) - 2048 | (chance(2) ? 0 : random.nextLong() << 32));
    }
  }

  /** Where the displacement to RIP is; -1 if it is not found. */
  private static int displacement(Instruction i, byte[] one) {
    for (int at = one.length - 4; at > 1; at--) {
      int value =
          one[at] & 0xff
              | (one[at + 1] & 0xff) << 8
              | (one[at + 2] & 0xff) << 16
              | one[at + 3] << 24;
      if (value == (int) i.displacement && (one[at - 1] & 0xff) == i.modrm) {
        return at;
      }
    }
    return -1;
  }
}
