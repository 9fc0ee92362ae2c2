package org.kvm4j.kvm;

import java.util.Arrays;
import java.util.HexFormat;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** An immutable string of bytes, equal to another with the same bytes. */
public final class Bytes {

  private static final Bytes EMPTY = new Bytes(new byte[0]);

  private final byte[] bytes;

  private Bytes(byte[] bytes) {
    this.bytes = bytes;
  }

  /** A copy of an array's bytes. */
  public static Bytes of(byte... bytes) {
    return bytes.length == 0 ? EMPTY : new Bytes(bytes.clone());
  }

  /** Bytes that nobody else will change. */
  static Bytes wrap(byte[] bytes) {
    return new Bytes(bytes);
  }

  /**
   * The low bytes of a number, the least significant first.
   *
   * @param size how many, 1 to 8
   */
  static Bytes littleEndian(long value, int size) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = (byte) (value >>> i * 8);
    }
    return new Bytes(bytes);
  }

  /** How many. */
  public int length() {
    return bytes.length;
  }

  /** One of them. */
  public byte get(int index) {
    return bytes[index];
  }

  /**
   * Some of them as an unsigned little-endian number.
   *
   * @param offset of the first
   * @param size how many, 1 to 8
   */
  public long getLittleEndian(int offset, int size) {
    Objects.checkFromIndexSize(offset, size, bytes.length);
    long value = 0;
    for (int i = size - 1; i >= 0; i--) {
      value = value << 8 | (bytes[offset + i] & 0xff);
    }
    return value;
  }

  /** A copy. */
  public byte[] toArray() {
    return bytes.clone();
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof Bytes b && Arrays.equals(b.bytes, bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }

  /** In hexadecimal, such as {@code "0f 01 c1"}. */
  @Override
  public String toString() {
    return HexFormat.ofDelimiter(" ").formatHex(bytes);
  }
}
