package org.kvm4j.cpu.decode;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.FeatureSet;

/** What the decoder's tests share. */
final class Code {
  static final FeatureSet ALL = FeatureSet.all();

  private Code() {}

  /** Bytes from hex; spaces do not matter. */
  static byte[] bytes(String hex) {
    return HexFormat.of().parseHex(hex.replace(" ", ""));
  }

  /** Decodes bytes with all features. */
  static Instruction decode(int codeSize, String hex) {
    return decode(ALL, codeSize, hex);
  }

  static Instruction decode64(String hex) {
    return decode(8, hex);
  }

  static Instruction decode32(String hex) {
    return decode(4, hex);
  }

  static Instruction decode16(String hex) {
    return decode(2, hex);
  }

  static Instruction without(Feature feature, int codeSize, String hex) {
    return decode(ALL.without(feature), codeSize, hex);
  }

  static Instruction decode(FeatureSet features, int codeSize, String hex) {
    byte[] code = bytes(hex);
    return new Decoder(features).decode(code, 0, code.length, codeSize);
  }

  /** The text of bytes at address 0. */
  static String text(int codeSize, String hex) {
    return Disassembler.disassemble(decode(codeSize, hex), 0);
  }

  /** The lines of a resource beside this class, without comments. */
  static List<String> lines(String resource) {
    List<String> lines = new ArrayList<>();
    try (InputStream in = Code.class.getResourceAsStream(resource);
        BufferedReader reader =
            new BufferedReader(
                new InputStreamReader(
                    java.util.Objects.requireNonNull(in, resource), StandardCharsets.UTF_8))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        if (!line.startsWith("#")) {
          lines.add(line);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return lines;
  }
}
