package org.kvm4j.kvm.uapi;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The layout of a uapi struct on x86-64 as data: for dumps and traces, and to be held against the C
 * headers. All fields are little endian; fields that share an offset are a union.
 *
 * @param name the C name without {@code struct}
 * @param size {@code sizeof} in bytes; a flexible array at the end is not counted
 * @param fields in order of declaration, unions and nested structs of {@code kvm_run} flattened to
 *     dotted names
 */
public record StructLayout(String name, int size, List<Field> fields) {

  /** The size of a {@link Field} that is an array which follows the struct. */
  public static final int FLEXIBLE = -1;

  /**
   * A field.
   *
   * @param name the C name; dotted inside a nested struct or union
   * @param offset in bytes from the start of the struct
   * @param size in bytes, {@link #FLEXIBLE}, or 0 for a bit-field
   * @param type {@code u8} to {@code u64}, {@code s16} to {@code s64}, {@code pointer}, {@code
   *     struct ...}, with {@code [n]} for arrays; empty for a bit-field
   * @param bit the lowest bit of a bit-field, counted from {@code offset}; otherwise 0
   * @param bits the width of a bit-field in bits; otherwise 0
   */
  public record Field(String name, int offset, int size, String type, int bit, int bits) {}

  public StructLayout {
    fields = List.copyOf(fields);
  }

  /** The field of that name. */
  public Optional<Field> field(String fieldName) {
    return fields.stream().filter(f -> f.name().equals(fieldName)).findFirst();
  }

  static Builder of(String name, int size) {
    return new Builder(name, size);
  }

  static final class Builder {
    private final String name;
    private final int size;
    private final List<Field> fields = new ArrayList<>();

    private Builder(String name, int size) {
      this.name = name;
      this.size = size;
    }

    Builder field(String fieldName, int offset, int fieldSize, String type) {
      fields.add(new Field(fieldName, offset, fieldSize, type, 0, 0));
      return this;
    }

    Builder bits(String fieldName, int offset, int bit, int bits) {
      fields.add(new Field(fieldName, offset, 0, "", bit, bits));
      return this;
    }

    StructLayout build() {
      return new StructLayout(name, size, fields);
    }
  }
}
