package org.kvm4j.kvm;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.StructLayout;

/**
 * A uapi struct as a mutable Java value: public fields under the C names (in Java's spelling), read
 * from and written to user memory without loss, padding and reserved fields included.
 *
 * <p>Fields of 8 and 16 bits are {@code int} and hold the unsigned value; fields of 32 and 64 bits
 * are {@code int} and {@code long} and hold the raw bits. Writing a value that does not fit its
 * field is an {@link IllegalArgumentException} that names the field.
 *
 * <p>Two are equal if they are of the same class and their bytes are.
 */
public abstract class UapiStruct {

  UapiStruct() {}

  /** The layout in memory. */
  public abstract StructLayout layout();

  /** Size in bytes, with what follows the fixed part. */
  public int sizeof() {
    return layout().size();
  }

  /** Takes all fields from memory. */
  public abstract void readFrom(UserMemory memory, long offset);

  /** Puts all fields into memory. */
  public abstract void writeTo(UserMemory memory, long offset);

  /** The struct's bytes. */
  public final byte[] toBytes() {
    byte[] bytes = new byte[sizeof()];
    writeTo(new HeapMemory(bytes), 0);
    return bytes;
  }

  @Override
  public final boolean equals(@Nullable Object other) {
    return other != null
        && other.getClass() == getClass()
        && Arrays.equals(toBytes(), ((UapiStruct) other).toBytes());
  }

  @Override
  public final int hashCode() {
    return Arrays.hashCode(toBytes());
  }

  /** The scalar fields by name, in hexadecimal; padding and arrays are left out. */
  @Override
  public String toString() {
    HeapMemory memory = new HeapMemory(toBytes());
    StringBuilder text = new StringBuilder(layout().name()).append('{');
    String separator = "";
    for (StructLayout.Field field : layout().fields()) {
      long value;
      switch (field.type()) {
        case "u8":
          value = memory.getByte(field.offset()) & 0xff;
          break;
        case "u16":
          value = memory.getShort(field.offset()) & 0xffff;
          break;
        case "u32":
        case "s32":
          value = memory.getInt(field.offset()) & 0xffff_ffffL;
          break;
        case "u64":
        case "s64":
        case "pointer":
          value = memory.getLong(field.offset());
          break;
        default:
          continue;
      }
      if (field.name().startsWith("pad")) {
        continue;
      }
      text.append(separator).append(field.name()).append("=0x").append(Long.toHexString(value));
      separator = " ";
    }
    return text.append('}').toString();
  }

  static int u8(UserMemory memory, long offset) {
    return memory.getByte(offset) & 0xff;
  }

  static int u16(UserMemory memory, long offset) {
    return memory.getShort(offset) & 0xffff;
  }

  static void putU8(UserMemory memory, long offset, int value, String field) {
    if ((value & ~0xff) != 0) {
      throw new IllegalArgumentException(
          field + " is 8 bits wide: 0x" + Integer.toHexString(value) + " does not fit");
    }
    memory.putByte(offset, (byte) value);
  }

  static void putU16(UserMemory memory, long offset, int value, String field) {
    if ((value & ~0xffff) != 0) {
      throw new IllegalArgumentException(
          field + " is 16 bits wide: 0x" + Integer.toHexString(value) + " does not fit");
    }
    memory.putShort(offset, (short) value);
  }

  static void readLongs(UserMemory memory, long offset, long[] target) {
    for (int i = 0; i < target.length; i++) {
      target[i] = memory.getLong(offset + 8L * i);
    }
  }

  static void writeLongs(UserMemory memory, long offset, long[] source) {
    for (int i = 0; i < source.length; i++) {
      memory.putLong(offset + 8L * i, source[i]);
    }
  }

  static void readInts(UserMemory memory, long offset, int[] target) {
    for (int i = 0; i < target.length; i++) {
      target[i] = memory.getInt(offset + 4L * i);
    }
  }

  static void writeInts(UserMemory memory, long offset, int[] source) {
    for (int i = 0; i < source.length; i++) {
      memory.putInt(offset + 4L * i, source[i]);
    }
  }
}
