package org.kvm4j.cpu.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.profile.Feature;

/** The decoder against what another disassembler, and a processor, made of the same bytes. */
class EncodingTests {
  /** What the processor of the recorded lengths lacks, of the features that gate instructions. */
  private static final Feature[] NOT_IN_ZEN4 = {
    Feature.RTM,
    Feature.SMX,
    Feature.VMX,
    Feature.SGX,
    Feature.PCONFIG,
    Feature.WAITPKG,
    Feature.MOVDIRI,
    Feature.MOVDIR64B,
    Feature.SERIALIZE,
    Feature.CLDEMOTE,
    Feature.PREFETCHWT1,
    Feature.MONITOR,
    // Shadow stacks were not enabled.
    Feature.CET_SS
  };

  @Test
  void everyFormReadsAsBinutilsReadsIt() {
    List<String> wrong = new ArrayList<>();
    Decoder decoder = new Decoder(Code.ALL);
    List<String> lines = Code.lines("encodings.txt");
    for (String line : lines) {
      String[] parts = line.split(" ", 3);
      byte[] code = Code.bytes(parts[1]);
      Instruction i = decoder.decode(code, 0, code.length, Integer.parseInt(parts[0]) / 8);
      String text = Disassembler.disassemble(i, 0);
      if (i.length != code.length || !text.equals(parts[2])) {
        wrong.add(line + " <> " + text + ", " + i.length + " bytes");
      }
    }
    assertEquals(List.of(), wrong);
    assertEquals(true, lines.size() > 7000);
  }

  @Test
  void lengthsAndInvalidOpcodesAreThoseOfAProcessor() {
    List<String> wrong = new ArrayList<>();
    Decoder decoder = new Decoder(Code.ALL.without(NOT_IN_ZEN4));
    List<String> lines = Code.lines("instruction-lengths-zen4.txt");
    for (String line : lines) {
      String[] parts = line.split(" ");
      byte[] code = Code.bytes(parts[1]);
      Instruction i = decoder.decode(code, 0, code.length, Integer.parseInt(parts[0]) / 8);
      String outcome =
          i.opcode == Opcode.TOO_LONG
              ? "gp"
              : (i.opcode == Opcode.INVALID || i.opcode == Opcode.UD2 ? "ud " : "ok ") + i.length;
      if (!line.endsWith(" " + outcome)) {
        wrong.add(line + " <> " + outcome + " " + i);
      }
    }
    assertEquals(List.of(), wrong);
    assertEquals(true, lines.size() > 7000);
  }
}
