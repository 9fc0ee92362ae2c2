package org.kvm4j.ept.memory;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.reflect.Field;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import sun.misc.Unsafe;

/**
 * Memory of the host's by its address, little endian, without a check: for pages that were checked
 * when their translation was cached (ADR 0008). What a buffer does at each access, to look at its
 * limit, its session and its byte order, is a third of what a guest's load takes.
 *
 * <p>The way to it is {@code sun.misc.Unsafe} up to JDK 21, and from JDK 22 on a memory segment of
 * the whole address space, if {@code --enable-native-access} allows it. Where the JVM allows
 * neither {@link #IN_USE} is false, and accesses go through buffers; {@code
 * -Dorg.kvm4j.memory=checked} asks for that. {@code -Dorg.kvm4j.memory=unsafe} has {@code
 * sun.misc.Unsafe} from JDK 22 on, too, of whose use JDK 24 and later warn unless they are told
 * {@code --sun-misc-unsafe-memory-access=allow}: the JVM's quick compiler makes calls of accesses
 * to segments.
 */
@SuppressWarnings("NullAway") // what is not there is not used: IN_USE
public final class HostMemory {
  /** Whether the other methods may be called; it does not change. */
  public static final boolean IN_USE;

  private static final String WANTED = System.getProperty("org.kvm4j.memory", "");
  private static final boolean SEGMENTS =
      Runtime.version().feature() >= 22 && !WANTED.equals("unsafe");

  // Up to JDK 21, or where it is asked for.
  private static final Unsafe UNSAFE;
  private static final long ADDRESS_FIELD;

  // From JDK 22 on else. The handles take an address.
  private static final Class<?> SEGMENT;
  private static final VarHandle BYTE;
  private static final VarHandle SHORT;
  private static final VarHandle INT;
  private static final VarHandle LONG;

  static {
    Unsafe unsafe = null;
    long field = 0;
    Class<?> segment = null;
    VarHandle[] handles = new VarHandle[4];
    boolean works = false;
    if (ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN
        && !WANTED.equals("checked")
        && (!SEGMENTS || isNativeAccessEnabled())) {
      try {
        if (SEGMENTS) {
          segment = Class.forName("java.lang.foreign.MemorySegment");
          Object none = segment.getField("NULL").get(null);
          Object all = segment.getMethod("reinterpret", long.class).invoke(none, Long.MAX_VALUE);
          handles[0] = handle("JAVA_BYTE", all);
          handles[1] = handle("JAVA_SHORT_UNALIGNED", all);
          handles[2] = handle("JAVA_INT_UNALIGNED", all);
          handles[3] = handle("JAVA_LONG_UNALIGNED", all);
        } else {
          Field the = Unsafe.class.getDeclaredField("theUnsafe");
          the.setAccessible(true);
          unsafe = (Unsafe) the.get(null);
          field = unsafe.objectFieldOffset(Buffer.class.getDeclaredField("address"));
        }
        works = true;
      } catch (ReflectiveOperationException | RuntimeException | LinkageError e) {
        // Not here: buffers do as well, if slower.
        works = false;
      }
    }
    UNSAFE = unsafe;
    ADDRESS_FIELD = field;
    SEGMENT = segment;
    BYTE = handles[0];
    SHORT = handles[1];
    INT = handles[2];
    LONG = handles[3];
    IN_USE = works;
  }

  private HostMemory() {}

  /** Whether {@code --enable-native-access} names this module: else the JVM prints a warning. */
  private static boolean isNativeAccessEnabled() {
    try {
      Module module = HostMemory.class.getModule();
      return (boolean) Module.class.getMethod("isNativeAccessEnabled").invoke(module);
    } catch (ReflectiveOperationException e) {
      return false;
    }
  }

  /** The handle of one of {@code ValueLayout}'s constants, for a segment that it is bound to. */
  private static VarHandle handle(String layout, Object segment)
      throws ReflectiveOperationException {
    Class<?> layouts = Class.forName("java.lang.foreign.ValueLayout");
    Object handle = layouts.getMethod("varHandle").invoke(layouts.getField(layout).get(null));
    return (VarHandle)
        MethodHandles.class
            .getMethod("insertCoordinates", VarHandle.class, int.class, Object[].class)
            .invoke(null, handle, 0, new Object[] {segment});
  }

  /**
   * The address of the first byte of a direct buffer, whose memory is there for as long as the
   * buffer can be reached.
   */
  public static long address(ByteBuffer buffer) {
    if (!SEGMENTS) {
      return UNSAFE.getLong(buffer, ADDRESS_FIELD);
    }
    try {
      Object segment = SEGMENT.getMethod("ofBuffer", Buffer.class).invoke(null, buffer);
      return (long) SEGMENT.getMethod("address").invoke(segment);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  /**
   * Fills a range.
   *
   * @param length in bytes
   * @param pattern eight bytes, repeated from the range's start on
   */
  public static void fill(long address, int length, long pattern) {
    if (!SEGMENTS && length >= MANY && pattern == Long.rotateLeft(pattern, 8)) {
      UNSAFE.setMemory(address, length, (byte) pattern);
      return;
    }
    int k = 0;
    for (; k <= length - 8; k += 8) {
      putLong(address + k, pattern);
    }
    for (; k < length; k++) {
      putByte(address + k, (byte) (pattern >>> (k & 7) * 8));
    }
  }

  /** Bytes from which on a call of the JVM's pays. */
  private static final int MANY = 256;

  public static byte getByte(long address) {
    return SEGMENTS ? (byte) BYTE.get(address) : UNSAFE.getByte(address);
  }

  public static void putByte(long address, byte value) {
    if (SEGMENTS) {
      BYTE.set(address, value);
    } else {
      UNSAFE.putByte(address, value);
    }
  }

  public static short getShort(long address) {
    return SEGMENTS ? (short) SHORT.get(address) : UNSAFE.getShort(address);
  }

  public static void putShort(long address, short value) {
    if (SEGMENTS) {
      SHORT.set(address, value);
    } else {
      UNSAFE.putShort(address, value);
    }
  }

  public static int getInt(long address) {
    return SEGMENTS ? (int) INT.get(address) : UNSAFE.getInt(address);
  }

  public static void putInt(long address, int value) {
    if (SEGMENTS) {
      INT.set(address, value);
    } else {
      UNSAFE.putInt(address, value);
    }
  }

  public static long getLong(long address) {
    return SEGMENTS ? (long) LONG.get(address) : UNSAFE.getLong(address);
  }

  public static void putLong(long address, long value) {
    if (SEGMENTS) {
      LONG.set(address, value);
    } else {
      UNSAFE.putLong(address, value);
    }
  }
}
