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
  private static final int FLAGS = 16;
  private static final int MEMORY = 0x100;

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
   */
  record Form(String name, int mode, byte[] code, int undefined, List<Vector> vectors) {
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
    int[] targets = new int[in.readUnsignedByte()];
    int[] widths = new int[targets.length];
    for (int i = 0; i < targets.length; i++) {
      targets[i] = in.readUnsignedShort();
      widths[i] = in.readUnsignedByte();
    }
    int count = in.readUnsignedShort();
    List<Vector> vectors = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      vectors.add(vector(in, mode, bytes.length, targets, widths));
    }
    return new Form(name, mode, bytes, undefined, vectors);
  }

  private Vector vector(DataInputStream in, int mode, int length, int[] targets, int[] widths)
      throws IOException {
    State before = base.copy();
    if (mode == 32) {
      for (int i = 0; i < 16; i++) {
        before.r[i] = i < 8 ? before.r[i] & 0xffffffffL : 0;
      }
    }
    StringBuilder inputs = new StringBuilder();
    for (int i = 0; i < targets.length; i++) {
      long value = 0;
      for (int k = 0; k < widths[i]; k++) {
        value = value << 8 | in.readUnsignedByte();
      }
      inputs.append(i == 0 ? "" : ", ");
      int target = targets[i];
      if (target < FLAGS) {
        before.r[target] = value;
        inputs.append("%s=%#x".formatted(State.registerName(target), value));
      } else if (target == FLAGS) {
        before.flags = (int) value;
        inputs.append("flags=").append(State.flagNames(before.flags));
      } else {
        for (int k = 0; k < widths[i]; k++) {
          before.memory[target - MEMORY + k] = (byte) (value >>> k * 8);
        }
        inputs.append("memory+%#x=%#x/%d".formatted(target - MEMORY, value, widths[i]));
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
