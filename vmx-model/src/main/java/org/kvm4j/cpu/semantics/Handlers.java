package org.kvm4j.cpu.semantics;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * The handler of each opcode. Each group of instructions enters its own; what is missing is #UD.
 */
public final class Handlers {
  private static final Handler MISSING = Handlers::undefined;
  private static final Handler[] TABLE = new Handler[Opcode.values().length];

  /** The opcodes that begin with V, by the rest of their names. */
  private static final Map<String, Opcode> VEX_FORMS = new HashMap<>();

  static {
    Arrays.fill(TABLE, MISSING);
    for (Opcode opcode : Opcode.values()) {
      if (opcode.name().charAt(0) == 'V') {
        VEX_FORMS.put(opcode.name().substring(1), opcode);
      }
    }
    Arithmetic.register();
    Logic.register();
    Shifts.register();
    MultiplyDivide.register();
    BitManipulation.register();
    Bmi.register();
    DataTransfer.register();
    Stack.register();
    Strings.register();
    ControlTransfer.register();
    FlagControl.register();
    Decimal.register();
    Atomics.register();
    Miscellaneous.register();
    SystemGroups.register();
    X87.register();
    X87Functions.register();
    X87Transfer.register();
    X87Control.register();
  }

  /**
   * The groups of vector instructions, which enter as many handlers as all others together: when
   * the first that is missing is asked for, so that guests without them start sooner.
   */
  private static final class VectorGroups {
    static {
      VectorMoves.register();
      PackedArithmetic.register();
      PackedShuffles.register();
      PackedShifts.register();
      VectorPermutes.register();
      MaskedMoves.register();
      StringComparison.register();
      GaloisField.register();
      Aes.register();
      Sha.register();
      SimdArithmetic.register();
      SimdHorizontal.register();
      SimdFused.register();
      SimdConvert.register();
      SimdControl.register();
    }

    private VectorGroups() {}

    static void load() {
      // As below.
    }
  }

  private Handlers() {}

  /** Builds the table now, and not while a guest waits for its first instruction. */
  public static void load() {
    // Being here is enough: the class is initialised.
  }

  /** The handler of an opcode; never null. */
  public static Handler of(Opcode opcode) {
    Handler handler = TABLE[opcode.ordinal()];
    if (handler.equals(MISSING)) {
      VectorGroups.load();
      handler = TABLE[opcode.ordinal()];
    }
    return handler;
  }

  /** Whether a group has entered a handler for the opcode, be it that of what is always #UD. */
  static boolean has(Opcode opcode) {
    return !of(opcode).equals(MISSING);
  }

  static void put(Opcode opcode, Handler handler) {
    TABLE[opcode.ordinal()] = handler;
  }

  /**
   * Enters a vector instruction for its legacy opcode and, if there is one, for the opcode of its
   * VEX form, which has the same name after a V. The handler is called once the state it uses is
   * known to be enabled ({@link VectorOperands#begin}).
   */
  static void putVector(Opcode opcode, Handler handler) {
    putVectorOnly(opcode, handler);
    Opcode vex = VEX_FORMS.get(opcode.name());
    if (vex != null) {
      putVectorOnly(vex, handler);
    }
  }

  /** Enters a vector instruction of which there is no form with another name, or another rule. */
  static void putVectorOnly(Opcode opcode, Handler handler) {
    put(
        opcode,
        (cpu, i) -> {
          VectorOperands.begin(cpu, i);
          handler.execute(cpu, i);
        });
  }

  /** #UD: an opcode that is invalid, or not built yet and not advertised by CPUID. */
  static void undefined(Cpu cpu, Instruction i) {
    throw cpu.ud();
  }
}
