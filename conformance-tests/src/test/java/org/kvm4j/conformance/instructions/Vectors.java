package org.kvm4j.conformance.instructions;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.GZIPInputStream;

/**
 * What a processor did with each form of instruction, as {@code src/recorder} wrote it down; the
 * format is described in {@code recorder.c} there.
 */
final class Vectors {
  private static final String RESOURCE = "/vectors/integer.bin.gz";
  static final int FLAGS = 16;
  static final int MEMORY = 0x100;
  private static final int ANY = 0;
  private static final int COUNT = 1;
  private static final int SIGN = 3;

  /** The processor that the results are from, and when. */
  final String processor;

  final String date;
  final long code;
  final long window;
  final List<Form> forms = new ArrayList<>();

  private final State base;

  /**
   * Some code and what became of it.
   *
   * @param mode 64, or 32 for compatibility mode
   * @param undefined the flags that the SDM leaves undefined after it
   * @param items what each vector has its own value of
   */
  @SuppressWarnings("ArrayRecordComponent") // Never changed.
  record Form(
      String name, int mode, byte[] code, int undefined, List<Item> items, List<Vector> vectors) {
    /** How many registers there are in its mode. */
    int registers() {
      return mode == 64 ? 16 : 8;
    }

    @Override
    public String toString() {
      return name + " " + hex(code);
    }
  }

  /**
   * An input.
   *
   * @param target a register's number, 16 for the flags, or 0x100 and an offset into the window
   * @param width in bytes
   * @param any that every value will do: it is no address, no count of a loop
   */
  record Item(int target, int width, boolean any) {}

  /**
   * One execution.
   *
   * @param inputs what was special about its state before, for people
   */
  record Vector(State before, State after, String inputs) {}

  private Vectors(DataInputStream in) throws IOException {
    byte[] magic = in.readNBytes(4);
    int version = in.readUnsignedShort();
    if (!new String(magic, StandardCharsets.US_ASCII).equals("KVMV") || version != 1) {
      throw new IOException(RESOURCE + ": not recorded vectors of version 1");
    }
    processor = in.readUTF();
    date = in.readUTF();
    long[] registers = new long[16];
    for (int i = 0; i < 16; i++) {
      registers[i] = in.readLong();
    }
    int flags = in.readInt();
    code = in.readLong();
    window = in.readLong();
    base = new State(new byte[0]);
    int length = in.readUnsignedShort();
    base.memory = in.readNBytes(length);
    System.arraycopy(registers, 0, base.r, 0, 16);
    base.flags = flags;
    base.rip = code;
    int count = in.readInt();
    for (int i = 0; i < count; i++) {
      forms.add(form(in));
    }
    if (in.read() != -1) {
      throw new IOException(RESOURCE + ": more than its forms");
    }
  }

  static Vectors load() {
    try (InputStream raw = Vectors.class.getResourceAsStream(RESOURCE)) {
      if (raw == null) {
        throw new IOException("no " + RESOURCE);
      }
      return new Vectors(
          new DataInputStream(new BufferedInputStream(new GZIPInputStream(raw), 1 << 16)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Form form(DataInputStream in) throws IOException {
    String name = in.readUTF();
    int mode = in.readUnsignedByte();
    byte[] bytes = in.readNBytes(in.readUnsignedByte());
    int undefined = in.readInt();
    int inputs = in.readUnsignedByte();
    List<Item> items = new ArrayList<>(inputs);
    for (int i = 0; i < inputs; i++) {
      int target = in.readUnsignedShort();
      int width = in.readUnsignedByte();
      int kind = in.readUnsignedByte();
      items.add(new Item(target, width, kind == ANY || kind == COUNT || kind == SIGN));
    }
    int count = in.readUnsignedShort();
    List<Vector> vectors = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      vectors.add(vector(in, mode, bytes.length, items));
    }
    return new Form(name, mode, bytes, undefined, items, vectors);
  }

  private Vector vector(DataInputStream in, int mode, int length, List<Item> items)
      throws IOException {
    State before = base.copy();
    if (mode == 32) {
      for (int i = 0; i < 16; i++) {
        before.r[i] = i < 8 ? before.r[i] & 0xffffffffL : 0;
      }
    }
    StringBuilder inputs = new StringBuilder();
    for (Item item : items) {
      long value = 0;
      for (int k = 0; k < item.width; k++) {
        value = value << 8 | in.readUnsignedByte();
      }
      inputs.append(inputs.isEmpty() ? "" : ", ");
      int target = item.target;
      before.set(item, value);
      if (target < FLAGS) {
        inputs.append("%s=%#x".formatted(State.registerName(target), value));
      } else if (target == FLAGS) {
        inputs.append("flags=").append(State.flagNames(before.flags));
      } else {
        inputs.append("memory+%#x=%#x/%d".formatted(target - MEMORY, value, item.width));
      }
    }
    State after = before.copy();
    after.exception = in.readUnsignedByte();
    after.rip = after.exception == State.NONE ? code + length : code;
    int changed = in.readInt();
    for (int i = 0; i < 16; i++) {
      if ((changed >> i & 1) != 0) {
        after.r[i] = in.readLong();
      }
    }
    if ((changed >> 16 & 1) != 0) {
      after.flags = in.readInt();
    }
    if ((changed >> 17 & 1) != 0) {
      after.rip = in.readLong();
    }
    for (int runs = in.readUnsignedByte(); runs > 0; runs--) {
      int offset = in.readUnsignedByte();
      in.readFully(after.memory, offset, in.readUnsignedByte() + 1);
    }
    return new Vector(before, after, inputs.toString());
  }

  static String hex(byte[] bytes) {
    return HexFormat.ofDelimiter(" ").formatHex(bytes);
  }
}
