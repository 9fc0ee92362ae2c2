package org.kvm4j.machine;

import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Memory for machine code: one file in memory, mapped twice, once to be written and once to be
 * executed, so that no page is both. It is there once for the JVM and stays; it takes memory as it
 * is written to. On hosts other than x86-64 Linux, and where the system does not allow it, there is
 * none.
 *
 * <p>The way in is a JNI method whose body is code of ours, as JNI's {@code RegisterNatives}
 * allows: nothing is compiled or shipped, and a call costs some nanoseconds.
 */
public final class CodeSpace {
  /** Bytes: less than what a relative jump reaches. */
  public static final int SIZE = 256 << 20;

  private static final int PROT_READ = 1;
  private static final int PROT_WRITE = 2;
  private static final int PROT_EXEC = 4;
  private static final int MAP_SHARED = 1;
  private static final int CLOSE_ON_EXEC = 1;

  private static final @Nullable CodeSpace INSTANCE = create();

  /** To be written. */
  private final ByteBuffer memory;

  /** Where it is executed. */
  private final long address;

  /** Where the space begins that is not used here. */
  private int begin;

  /** Where there is room for code that is run once. */
  private int scratch;

  private static final int SCRATCH = 256;

  private CodeSpace(ByteBuffer memory, long address) {
    this.memory = memory;
    this.address = address;
  }

  /** That of the JVM; null if there is none. */
  public static @Nullable CodeSpace get() {
    return INSTANCE;
  }

  /** The first byte, as an offset, that is nobody's. */
  public int begin() {
    return begin;
  }

  /** Where an offset is executed. */
  public long address(int offset) {
    return address + offset;
  }

  /** Puts code at an offset. */
  public void write(int offset, byte[] code) {
    write(offset, code, 0, code.length);
  }

  /**
   * Puts code at an offset.
   *
   * @param from the first byte of it
   * @param length how many bytes of it
   */
  public void write(int offset, byte[] code, int from, int length) {
    memory.put(offset, code, from, length);
  }

  /** Puts 4 bytes at an offset. */
  public void write32(int offset, int value) {
    memory.putInt(offset, value);
  }

  /**
   * Calls machine code.
   *
   * @param context what it finds in RDI
   * @param code the address of a function that keeps no register but RSP, and leaves the direction
   *     flag and MXCSR as it found them
   * @return what it leaves in RAX
   */
  public static native long call(long context, long code);

  /** Runs a function of at most 256 bytes that is not kept; gives what it leaves in RAX. */
  synchronized long once(byte[] code) {
    write(scratch, code);
    return call(0, address(scratch));
  }

  /** Whether this host is of the kind that all here is for, and it has not been forbidden. */
  static boolean isPossible() {
    String arch = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
    return (arch.equals("amd64") || arch.equals("x86_64"))
        && System.getProperty("os.name", "").equals("Linux")
        && !"false".equals(System.getProperty("org.kvm4j.machine"));
  }

  private static @Nullable CodeSpace create() {
    if (!isPossible()) {
      return null;
    }
    try {
      return map();
    } catch (IllegalArgumentException | LinkageError e) {
      return null;
    }
  }

  private static @Nullable CodeSpace map() {
    int fd = Libc.memfd_create("kvm4j-code", CLOSE_ON_EXEC);
    if (fd < 0) {
      return null;
    }
    try {
      if (Libc.ftruncate(fd, SIZE) != 0) {
        return null;
      }
      long writable = Libc.mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (writable == -1) {
        return null;
      }
      long executable = Libc.mmap(0, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
      if (executable == -1) {
        Libc.munmap(writable, SIZE);
        return null;
      }
      ByteBuffer memory =
          new Pointer(writable).getByteBuffer(0, SIZE).order(ByteOrder.LITTLE_ENDIAN);
      CodeSpace space = new CodeSpace(memory, executable);
      byte[] entry = entry();
      space.write(0, entry);
      space.scratch = entry.length + 63 & -64;
      space.begin = space.scratch + SCRATCH;
      if (JniMethod.bind(CodeSpace.class, "call", "(JJ)J", executable)) {
        return space;
      }
      Libc.munmap(writable, SIZE);
      Libc.munmap(executable, SIZE);
      return null;
    } finally {
      Libc.close(fd);
    }
  }

  /**
   * The body of {@link #call}: the System V calling convention has the JNI environment in RDI, the
   * class in RSI, the arguments in RDX and RCX.
   */
  private static byte[] entry() {
    Assembler a = new Assembler();
    int[] kept = {
      Assembler.RBX, Assembler.RBP, Assembler.R12, Assembler.R13, Assembler.R14, Assembler.R15
    };
    a.emit(0xf3);
    a.emit(0x0f);
    a.emit(0x1e);
    a.emit(0xfa); // endbr64
    for (int register : kept) {
      push(a, 0x50, register);
    }
    a.immediate(8, 5, Assembler.RSP, 8); // the stack is aligned where a function is called
    a.move(Assembler.RDI, Assembler.RDX);
    a.registers(4, 0xff, 2, Assembler.RCX); // call rcx
    a.immediate(8, 0, Assembler.RSP, 8);
    for (int k = kept.length - 1; k >= 0; k--) {
      push(a, 0x58, kept[k]);
    }
    a.emit(0xc3); // ret
    return a.bytes();
  }

  /** PUSH (50) or POP (58). */
  private static void push(Assembler a, int opcode, int register) {
    if (register >= 8) {
      a.emit(0x41);
    }
    a.emit(opcode | register & 7);
  }
}
