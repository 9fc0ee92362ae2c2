package org.kvm4j.cpu.decode;

import java.nio.ByteBuffer;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.FeatureSet;

/**
 * Decodes the instructions that a CPU with given features has (SDM vol. 2, ch. 2, "Instruction
 * Format", and app. A, "Opcode Map").
 *
 * <p>What is no instruction of that CPU is decoded as {@link Opcode#INVALID}, what is longer than
 * 15 bytes as {@link Opcode#TOO_LONG}. What only the CPU's state makes invalid (CR4, CPL, VMX
 * operation, protected mode for LAR) is left to the instruction's semantics, except that VEX
 * prefixes are no prefixes in real-address and virtual-8086 mode: see {@link #REAL_MODE}.
 *
 * <p>Where Intel's and AMD's processors differ, the decoder takes Intel's way: in 64-bit mode a
 * near branch ignores the operand-size prefix, and far pointers of LSS, LFS, LGS and far transfers
 * through memory have 8-byte offsets with REX.W.
 *
 * <p>A decoder belongs to one thread.
 */
public final class Decoder {
  /** The length that no instruction may exceed, in bytes. */
  public static final int MAXIMUM_LENGTH = 15;

  /**
   * Added to a code size of 2 or 4: the CPU is in real-address or virtual-8086 mode, where C4 and
   * C5 are always LES and LDS. {@link Instruction#codeSize} does not show it.
   */
  public static final int REAL_MODE = 0x10;

  // What the first byte of an instruction can be beside an opcode.
  private static final int OPCODE = 0;
  private static final int SEGMENT_OVERRIDE = 1;
  private static final int OPERAND_SIZE = 2;
  private static final int ADDRESS_SIZE = 3;
  private static final int LOCK = 4;
  private static final int REPNE = 5;
  private static final int REP = 6;
  private static final int REX = 7;

  private static final byte[] CLASS = new byte[256];

  static {
    for (int b : new int[] {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}) {
      CLASS[b] = SEGMENT_OVERRIDE;
    }
    CLASS[0x66] = OPERAND_SIZE;
    CLASS[0x67] = ADDRESS_SIZE;
    CLASS[0xf0] = LOCK;
    CLASS[0xf2] = REPNE;
    CLASS[0xf3] = REP;
    for (int b = 0x40; b <= 0x4f; b++) {
      CLASS[b] = REX;
    }
  }

  private static final int MODE_CHOICE = Form.Choice.MODE.ordinal();
  private static final int PREFIX_CHOICE = Form.Choice.PREFIX.ordinal();
  private static final int REG_CHOICE = Form.Choice.REG.ordinal();
  private static final int MOD_CHOICE = Form.Choice.MOD.ordinal();
  private static final int RM_CHOICE = Form.Choice.RM.ordinal();
  private static final int W_CHOICE = Form.Choice.W.ordinal();
  private static final int L_CHOICE = Form.Choice.L.ordinal();

  /** By {@link Form#id}: whether the CPU has the form. */
  private final boolean[] enabled = new boolean[OpcodeTable.FORMS.length];

  private final byte[] copy = new byte[MAXIMUM_LENGTH + 1];
  private final Instruction.Fields f = new Instruction.Fields();

  // The code being read: from, up to and without limit; source gives what is beyond.
  private byte[] code = copy;
  private int start;
  private int pos;
  private int limit;
  private @Nullable CodeSource source;

  /** What the result is written to, if not to a new object. */
  private @Nullable Instruction into;

  private boolean tooLong;
  private boolean pastLimit;

  private int rexW;
  private int rexR;
  private int rexX;
  private int rexB;
  private boolean bad;

  /**
   * A decoder for a CPU.
   *
   * @param features the CPU's features
   */
  public Decoder(FeatureSet features) {
    boolean avx = features.has(Feature.AVX);
    for (Form form : OpcodeTable.FORMS) {
      enabled[form.id] =
          (form.feature == null || features.has(form.feature)) && (avx || !form.needsAvx);
    }
  }

  /**
   * A decoder for a CPU.
   *
   * @param features the CPU's features
   */
  public Decoder(Set<Feature> features) {
    this(FeatureSet.of(features));
  }

  /**
   * Decodes one instruction, taking no more bytes than it has.
   *
   * @param source the bytes; what it throws passes through
   * @param codeSize the default operand size of the code segment, 2 or 4 (perhaps plus {@link
   *     #REAL_MODE}), or 8 in 64-bit mode
   */
  public Instruction decode(CodeSource source, int codeSize) {
    code = copy;
    start = 0;
    pos = 0;
    limit = 0;
    this.source = source;
    try {
      return decode(codeSize);
    } finally {
      this.source = null;
    }
  }

  /**
   * Decodes one instruction from an array.
   *
   * @param bank the bytes
   * @param offset where the instruction begins
   * @param limit the first index that must not be read
   * @param codeSize the default operand size of the code segment, 2 or 4 (perhaps plus {@link
   *     #REAL_MODE}), or 8 in 64-bit mode
   * @return the instruction, or {@link Instruction#PAST_LIMIT} if it goes on at the limit
   */
  public Instruction decode(byte[] bank, int offset, int limit, int codeSize) {
    code = bank;
    start = offset;
    pos = offset;
    this.limit = Math.min(limit, offset + MAXIMUM_LENGTH);
    try {
      return decode(codeSize);
    } finally {
      code = copy;
    }
  }

  /**
   * Decodes one instruction from a buffer. The buffer's position and limit play no part and stay.
   *
   * @param bank the bytes
   * @param offset where the instruction begins
   * @param limit the first index that must not be read
   * @param codeSize the default operand size of the code segment, 2 or 4 (perhaps plus {@link
   *     #REAL_MODE}), or 8 in 64-bit mode
   * @return the instruction, or {@link Instruction#PAST_LIMIT} if it goes on at the limit
   */
  public Instruction decode(ByteBuffer bank, int offset, int limit, int codeSize) {
    int size = Math.min(limit - offset, MAXIMUM_LENGTH);
    bank.get(offset, copy, 0, size);
    code = copy;
    start = 0;
    pos = 0;
    this.limit = size;
    return decode(codeSize);
  }

  /**
   * As {@link #decode(ByteBuffer, int, int, int)}, making no new object.
   *
   * @param into is overwritten
   * @return {@code into}, or {@link Instruction#PAST_LIMIT}
   */
  public Instruction decode(
      ByteBuffer bank, int offset, int limit, int codeSize, Instruction into) {
    this.into = into;
    try {
      return decode(bank, offset, limit, codeSize);
    } finally {
      this.into = null;
    }
  }

  private Instruction made(Opcode opcode, int length) {
    Instruction i = into;
    if (i == null) {
      return new Instruction(f, opcode, length);
    }
    i.set(f, opcode, length);
    return i;
  }

  private Instruction decode(int mode) {
    tooLong = false;
    pastLimit = false;
    bad = false;
    reset(mode & ~REAL_MODE);
    Form form = find((mode & REAL_MODE) == 0);
    if (form != null) {
      finish(form);
    }
    if (tooLong) {
      clearOperands();
      return made(Opcode.TOO_LONG, MAXIMUM_LENGTH);
    }
    if (pastLimit) {
      return Instruction.PAST_LIMIT;
    }
    if (form == null || bad) {
      clearOperands();
      return made(Opcode.INVALID, pos - start);
    }
    return made(form.opcode, pos - start);
  }

  private void reset(int codeSize) {
    f.codeSize = codeSize;
    f.operandSize = codeSize == 2 ? 2 : 4;
    f.addressSize = codeSize;
    f.condition = 0;
    clearOperands();
    f.segment = 3;
    f.base = Instruction.NO_REGISTER;
    f.index = Instruction.NO_REGISTER;
    f.scale = 0;
    f.displacement = 0;
    f.vectorIndexSize = 0;
    f.immediate = 0;
    f.immediate2 = 0;
    f.lock = false;
    f.rep = false;
    f.repne = false;
    f.operandSizePrefix = false;
    f.addressSizePrefix = false;
    f.segmentOverride = -1;
    f.noTrack = false;
    f.rex = 0;
    f.modrm = -1;
    f.opcodeMap = 0;
    f.opcodeByte = 0;
    f.vex = false;
    f.vexV = 0;
    f.vexL = 0;
    f.vexW = 0;
    f.vexP = 0;
  }

  private void clearOperands() {
    for (int i = 0; i < 4; i++) {
      f.kind[i] = OperandKind.NONE;
      f.size[i] = 0;
      f.reg[i] = 0;
    }
  }

  /** Reads prefixes, opcode and ModR/M; returns the form, or null if there is none. */
  private @Nullable Form find(boolean vexAllowed) {
    boolean mode64 = f.codeSize == 8;
    int b = readPrefixes(mode64);
    int map = 0;
    if (b == 0x0f) {
      b = next();
      map = 1;
      if (b == 0x38 || b == 0x3a) {
        map = b == 0x38 ? 2 : 3;
        b = next();
      }
    } else if (b == 0xc4 || b == 0xc5 || b == 0x62) {
      // Outside 64-bit mode these are LES, LDS and BOUND unless their ModR/M would name a register.
      int next = next();
      if (mode64 || next >= 0xc0) {
        return b == 0x62 || !vexAllowed ? null : findVex(b == 0xc4, next, mode64);
      }
      if (!pastLimit && !tooLong) {
        pos--;
      }
    }
    f.opcodeMap = map;
    f.opcodeByte = b;
    int prefix = f.rep ? 2 : f.repne ? 3 : f.operandSizePrefix ? 1 : 0;
    return choose(OpcodeTable.root(map, b), prefix, mode64);
  }

  /** Reads prefixes and returns the byte after them. */
  private int readPrefixes(boolean mode64) {
    int rex = 0;
    while (true) {
      int b = next();
      switch (CLASS[b]) {
        case REX:
          if (mode64) {
            // A REX prefix counts only right before the opcode.
            rex = b;
            continue;
          }
          break;
        case SEGMENT_OVERRIDE:
          int segment = b >= 0x64 ? b - 0x60 : b >> 3 & 3;
          // The others are ignored in 64-bit mode; FS or GS before them still holds.
          if (!mode64 || segment >= 4) {
            f.segmentOverride = segment;
          }
          f.noTrack = b == 0x3e;
          rex = 0;
          continue;
        case OPERAND_SIZE:
          f.operandSizePrefix = true;
          rex = 0;
          continue;
        case ADDRESS_SIZE:
          f.addressSizePrefix = true;
          rex = 0;
          continue;
        case LOCK:
          f.lock = true;
          rex = 0;
          continue;
        case REPNE:
          f.repne = true;
          f.rep = false;
          rex = 0;
          continue;
        case REP:
          f.rep = true;
          f.repne = false;
          rex = 0;
          continue;
        default:
          break;
      }
      f.rex = rex;
      rexW = rex >> 3 & 1;
      rexR = rex << 1 & 8;
      rexX = rex << 2 & 8;
      rexB = rex << 3 & 8;
      if (f.addressSizePrefix) {
        f.addressSize = f.codeSize == 4 ? 2 : 4;
      }
      if (rexW != 0) {
        f.operandSize = 8;
      } else if (f.operandSizePrefix) {
        f.operandSize = f.codeSize == 2 ? 4 : 2;
      }
      return b;
    }
  }

  private @Nullable Form findVex(boolean three, int second, boolean mode64) {
    boolean prefixed = f.rex != 0 || f.lock || f.operandSizePrefix || f.rep || f.repne;
    int b = second;
    rexR = (b >> 7 ^ 1) << 3;
    rexX = 0;
    rexB = 0;
    int map = 1;
    if (three) {
      map = b & 31;
      rexX = (b >> 6 & 1 ^ 1) << 3;
      rexB = mode64 ? (b >> 5 & 1 ^ 1) << 3 : 0;
      b = next();
      f.vexW = b >> 7;
    }
    rexW = f.vexW;
    f.vex = true;
    f.vexV = b >> 3 & 15 ^ 15;
    f.vexL = b >> 2 & 1;
    f.vexP = b & 3;
    f.operandSize = mode64 && rexW != 0 ? 8 : 4;
    f.opcodeMap = map;
    if (map == 0 || map > 3) {
      return null;
    }
    b = next();
    f.opcodeByte = b;
    Form form = choose(OpcodeTable.root(OpcodeTable.VEX + map, b), f.vexP, mode64);
    bad |= prefixed;
    return form;
  }

  /** Goes down the tree of an opcode byte, reading ModR/M if there is one. */
  private @Nullable Form choose(OpcodeTable.Node root, int prefix, boolean mode64) {
    int modrm = 0;
    if (root.modrm || root.forms.length == 0 && (f.vex || f.opcodeMap >= 2)) {
      modrm = next();
      f.modrm = modrm;
    }
    OpcodeTable.Node node = root;
    while (node.choice >= 0) {
      int value;
      if (node.choice == PREFIX_CHOICE) {
        value = prefix;
      } else if (node.choice == REG_CHOICE) {
        value = modrm >> 3 & 7;
      } else if (node.choice == MOD_CHOICE) {
        value = modrm >= 0xc0 ? 1 : 0;
      } else if (node.choice == RM_CHOICE) {
        value = modrm & 7;
      } else if (node.choice == MODE_CHOICE) {
        value = mode64 ? 1 : 0;
      } else if (node.choice == W_CHOICE) {
        value = rexW;
      } else if (node.choice == L_CHOICE) {
        value = f.vexL;
      } else {
        value = rexB >> 3;
      }
      node = node.children[value];
    }
    for (int i = node.forms.length - 1; i >= 0; i--) {
      Form form = node.forms[i];
      if (enabled[form.id]) {
        return form;
      }
    }
    skip(root);
    return null;
  }

  /**
   * Reads the bytes that what is no instruction would have, because a processor finds an
   * instruction's end before it finds that there is none: it takes the faults of their fetch, and
   * #GP for more than 15 bytes, rather than #UD. Seen on Zen 4 processors.
   */
  private void skip(OpcodeTable.Node root) {
    if (root.forms.length > 0) {
      finish(root.forms[0]);
    } else if (f.modrm >= 0) {
      address();
      if (f.opcodeMap == 3) {
        next();
      }
    }
  }

  /** Reads what follows ModR/M and sets the operands. */
  private void finish(Form form) {
    if (f.codeSize == 8 && (form.force64 || form.default64)) {
      if (form.force64 || f.operandSize != 2) {
        f.operandSize = 8;
      }
    }
    if (form.condition) {
      f.condition = f.opcodeByte & 15;
    }
    if (f.segmentOverride >= 0) {
      f.segment = f.segmentOverride;
    }
    if (form.modrm && !form.ignoreMod) {
      address();
    }
    int[] operands = form.operands;
    for (int i = 0; i < operands.length; i++) {
      operand(i, operands[i]);
    }
    if (f.lock && !(form.opcode.lockable && f.kind[0] == OperandKind.MEMORY)) {
      bad = true;
    }
    if (f.vex) {
      if (!form.usesV && f.vexV != 0) {
        bad = true;
      }
      if (f.codeSize != 8) {
        f.vexV &= 7;
      }
    }
  }

  private void address() {
    if (f.modrm >= 0xc0) {
      return;
    }
    if (f.addressSize == 2) {
      address16();
    } else {
      address32();
    }
  }

  private void address16() {
    int mod = f.modrm >> 6;
    int rm = f.modrm & 7;
    if (mod == 0 && rm == 6) {
      f.displacement = (short) next16();
      return;
    }
    // BX+SI BX+DI BP+SI BP+DI SI DI BP BX
    f.base = rm < 4 ? (rm < 2 ? 3 : 5) : rm == 4 ? 6 : rm == 5 ? 7 : rm == 6 ? 5 : 3;
    f.index = rm < 4 ? 6 + (rm & 1) : Instruction.NO_REGISTER;
    if (f.base == 5 && f.segmentOverride < 0) {
      f.segment = 2;
    }
    if (mod == 1) {
      f.displacement = (byte) next();
    } else if (mod == 2) {
      f.displacement = (short) next16();
    }
  }

  private void address32() {
    int mod = f.modrm >> 6;
    int rm = f.modrm & 7;
    int base;
    if (rm == 4) {
      int sib = next();
      f.scale = sib >> 6;
      int index = sib >> 3 & 7 | rexX;
      f.index = index == 4 ? Instruction.NO_REGISTER : index;
      base = sib & 7;
      if (mod == 0 && base == 5) {
        f.displacement = next32();
        return;
      }
    } else {
      base = rm;
      if (mod == 0 && rm == 5) {
        if (f.codeSize == 8) {
          f.base = Instruction.RIP;
        }
        f.displacement = next32();
        return;
      }
    }
    f.base = base | rexB;
    if ((f.base == 4 || f.base == 5) && f.segmentOverride < 0) {
      f.segment = 2;
    }
    if (mod == 1) {
      f.displacement = (byte) next();
    } else if (mod == 2) {
      f.displacement = next32();
    }
  }

  private void operand(int i, int packed) {
    int size = OperandCode.type(packed);
    if (size >= OperandCode.VARIABLE) {
      size = size(size);
    }
    switch (OperandCode.method(packed)) {
      case OperandCode.GPR_OR_MEMORY:
        if (f.modrm < 0xc0) {
          set(i, OperandKind.MEMORY, size, 0);
        } else {
          gpr(i, size, f.modrm & 7 | rexB);
        }
        break;
      case OperandCode.MEMORY:
        set(i, OperandKind.MEMORY, size, 0);
        break;
      case OperandCode.GPR_RM:
        gpr(i, size, f.modrm & 7 | rexB);
        break;
      case OperandCode.GPR_REG:
        gpr(i, size, f.modrm >> 3 & 7 | rexR);
        break;
      case OperandCode.GPR_OPCODE:
        gpr(i, size, f.opcodeByte & 7 | rexB);
        break;
      case OperandCode.GPR_V:
        gpr(i, size, vexV());
        break;
      case OperandCode.FIXED_GPR:
        set(i, OperandKind.GPR, size, OperandCode.extra(packed));
        break;
      case OperandCode.CONTROL:
        int control = f.modrm >> 3 & 7 | rexR;
        // CR0, CR2, CR3, CR4, and CR8 in 64-bit mode; the others do not exist.
        bad |= (0x11d >> control & 1) == 0;
        set(i, OperandKind.CONTROL, size, control);
        break;
      case OperandCode.DEBUG:
        bad |= rexR != 0;
        set(i, OperandKind.DEBUG, size, f.modrm >> 3 & 7 | rexR);
        break;
      case OperandCode.SEGMENT:
        int segment = f.modrm >> 3 & 7;
        // There is no segment register 6 or 7, and MOV does not load CS.
        bad |= segment > 5 || segment == 1 && i == 0;
        set(i, OperandKind.SEGMENT, size, segment);
        break;
      case OperandCode.FIXED_SEGMENT:
        set(i, OperandKind.SEGMENT, size, OperandCode.extra(packed));
        break;
      case OperandCode.IMMEDIATE:
        immediate(i, size, false);
        break;
      case OperandCode.IMMEDIATE_SIGNED:
        immediate(i, size, true);
        break;
      case OperandCode.ONE:
        f.immediate = 1;
        set(i, OperandKind.IMMEDIATE, 1, 0);
        break;
      case OperandCode.RELATIVE:
        f.immediate = size == 1 ? (byte) next() : size == 2 ? (short) next16() : next32();
        set(i, OperandKind.RELATIVE, size, 0);
        break;
      case OperandCode.OFFSET:
        f.displacement =
            f.addressSize == 8
                ? next64()
                : f.addressSize == 4 ? next32() & 0xffffffffL : next16() & 0xffffL;
        set(i, OperandKind.MEMORY, size, 0);
        break;
      case OperandCode.FAR_POINTER:
        f.immediate = f.operandSize == 2 ? next16() & 0xffffL : next32() & 0xffffffffL;
        f.immediate2 = next16() & 0xffffL;
        set(i, OperandKind.FAR_POINTER, size, 0);
        break;
      case OperandCode.STRING_SOURCE:
        set(i, OperandKind.STRING_SOURCE, size, 6);
        break;
      case OperandCode.STRING_DESTINATION:
        set(i, OperandKind.STRING_DESTINATION, size, 7);
        break;
      case OperandCode.MMX_REG:
        set(i, OperandKind.MMX, size, f.modrm >> 3 & 7);
        break;
      case OperandCode.MMX_OR_MEMORY:
      case OperandCode.MMX_RM:
        if (f.modrm < 0xc0) {
          set(i, OperandKind.MEMORY, size, 0);
        } else {
          set(i, OperandKind.MMX, size, f.modrm & 7);
        }
        break;
      case OperandCode.VECTOR_REG:
        vector(i, size, f.modrm >> 3 & 7 | rexR);
        break;
      case OperandCode.VECTOR_OR_MEMORY:
      case OperandCode.VECTOR_RM:
        if (f.modrm < 0xc0) {
          set(i, OperandKind.MEMORY, size, 0);
        } else {
          vector(i, size, f.modrm & 7 | rexB);
        }
        break;
      case OperandCode.VECTOR_V:
        vector(i, size, vexV());
        break;
      case OperandCode.VECTOR_IMMEDIATE:
        f.immediate = next();
        vector(i, size, (int) f.immediate >> 4 & (f.codeSize == 8 ? 15 : 7));
        break;
      case OperandCode.VECTOR_MEMORY:
        vectorMemory(i, size, OperandCode.extra(packed) != 0 && f.vexL != 0 ? 32 : 16);
        break;
      case OperandCode.FIXED_XMM:
        set(i, OperandKind.XMM, size, 0);
        break;
      case OperandCode.ST0:
        set(i, OperandKind.X87, size, 0);
        break;
      case OperandCode.ST_I:
        set(i, OperandKind.X87, size, f.modrm & 7);
        break;
      case OperandCode.IMPLIED_MEMORY:
        f.base = OperandCode.extra(packed);
        set(i, OperandKind.MEMORY, size, 0);
        break;
      default:
        throw new AssertionError(packed);
    }
  }

  /** The size in bytes of a type that depends on the instruction's attributes. */
  private int size(int type) {
    switch (type) {
      case OperandCode.V:
        return f.operandSize;
      case OperandCode.Z:
        return Math.min(f.operandSize, 4);
      case OperandCode.Y:
        return rexW != 0 && f.codeSize == 8 ? 8 : 4;
      case OperandCode.N:
        return f.codeSize == 8 ? 8 : 4;
      case OperandCode.J:
        return f.addressSize;
      case OperandCode.X:
        return 16 << f.vexL;
      case OperandCode.H:
        return 8 << f.vexL;
      case OperandCode.K:
        return 4 << f.vexL;
      case OperandCode.E:
        return 2 << f.vexL;
      case OperandCode.P:
        return 2 + f.operandSize;
      case OperandCode.S:
        return f.codeSize == 8 ? 10 : 6;
      case OperandCode.A:
        return 2 * f.operandSize;
      case OperandCode.ENV:
        return f.operandSize == 2 ? 14 : 28;
      case OperandCode.STATE:
        return f.operandSize == 2 ? 94 : 108;
      default:
        throw new AssertionError(type);
    }
  }

  private int vexV() {
    return f.codeSize == 8 ? f.vexV : f.vexV & 7;
  }

  private void set(int i, int kind, int size, int reg) {
    f.kind[i] = kind;
    f.size[i] = size;
    f.reg[i] = reg;
  }

  private void gpr(int i, int size, int reg) {
    if (size == 1 && f.rex == 0 && reg >= 4) {
      set(i, OperandKind.GPR_HIGH, 1, reg - 4);
    } else {
      set(i, OperandKind.GPR, size, reg);
    }
  }

  private void vector(int i, int size, int reg) {
    set(i, size == 32 ? OperandKind.YMM : OperandKind.XMM, size, reg);
  }

  private void immediate(int i, int size, boolean signed) {
    long value;
    switch (size) {
      case 1:
        value = signed ? (byte) next() : next();
        break;
      case 2:
        value = signed ? (short) next16() : next16() & 0xffffL;
        break;
      case 4:
        value = next32();
        break;
      default:
        value = next64();
        break;
    }
    if (i > 0 && f.kind[i - 1] == OperandKind.IMMEDIATE) {
      f.immediate2 = value;
    } else {
      f.immediate = value;
    }
    set(i, OperandKind.IMMEDIATE, signed ? f.operandSize : size, 0);
  }

  /** VSIB addressing (SDM vol. 2, ch. 2.3.12): the index is a vector register, even number 4. */
  private void vectorMemory(int i, int elementSize, int indexSize) {
    if ((f.modrm & 7) != 4 || f.addressSize == 2) {
      bad = true;
      return;
    }
    if (f.index == Instruction.NO_REGISTER) {
      f.index = 4;
    }
    f.vectorIndexSize = indexSize;
    set(i, OperandKind.MEMORY, elementSize, 0);
    // Destination, index and mask must be three registers.
    int destination = f.modrm >> 3 & 7 | rexR;
    int mask = vexV();
    bad |= destination == mask || destination == f.index || mask == f.index;
  }

  private int next() {
    int p = pos;
    if (p < limit) {
      pos = p + 1;
      return code[p] & 0xff;
    }
    return nextSlowly();
  }

  private int nextSlowly() {
    if (pastLimit) {
      return 0;
    }
    if (pos - start >= MAXIMUM_LENGTH) {
      tooLong = true;
      pos++;
      return 0;
    }
    CodeSource from = source;
    if (from == null) {
      pastLimit = true;
      return 0;
    }
    int b = from.nextByte() & 0xff;
    code[pos] = (byte) b;
    pos++;
    limit = pos;
    return b;
  }

  private int next16() {
    int low = next();
    return low | next() << 8;
  }

  private int next32() {
    int p = pos;
    if (p + 4 <= limit) {
      pos = p + 4;
      return code[p] & 0xff
          | (code[p + 1] & 0xff) << 8
          | (code[p + 2] & 0xff) << 16
          | code[p + 3] << 24;
    }
    int low = next16();
    return low | next16() << 16;
  }

  private long next64() {
    long low = next32() & 0xffffffffL;
    return low | (long) next32() << 32;
  }
}
