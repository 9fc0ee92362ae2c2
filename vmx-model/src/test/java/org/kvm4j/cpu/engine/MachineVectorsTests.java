package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.profile.Feature;

/** Which instructions the host's processor is asked for. */
final class MachineVectorsTests {
  private final Decoder all = new Decoder(EnumSet.allOf(Feature.class));

  @ParameterizedTest
  @EnumSource(
      value = Feature.class,
      names = {"SSE3", "SSSE3", "SSE4_1", "SSE4_2", "AES", "PCLMULQDQ", "SHA", "GFNI"})
  void what_a_host_may_not_have_is_asked_for_by_its_feature(Feature feature) {
    Set<Feature> others = EnumSet.allOf(Feature.class);
    others.remove(feature);
    Decoder without = new Decoder(others);
    int count = 0;
    for (int prefix : new int[] {0x40, 0x66, 0xf3, 0xf2}) {
      for (int map = 1; map < 4; map++) {
        for (int opcode = 0; opcode < 256; opcode++) {
          for (int modrm = 0; modrm < 256; modrm += 8) {
            byte[] code = new byte[16];
            int n = 0;
            code[n++] = (byte) prefix;
            code[n++] = 0x0f;
            if (map > 1) {
              code[n++] = (byte) (map == 2 ? 0x38 : 0x3a);
            }
            code[n++] = (byte) opcode;
            code[n] = (byte) modrm;
            Instruction i = all.decode(code, 0, code.length, 8);
            if (hasVectors(i) && !without.decode(code, 0, code.length, 8).isValid()) {
              assertEquals(feature, MachineVectors.needs(i), i::toString);
              count++;
            }
          }
        }
      }
    }
    assertTrue(count > 0, "nothing needs " + feature);
  }

  private static boolean hasVectors(Instruction i) {
    return i.kind0 == OperandKind.XMM || i.kind1 == OperandKind.XMM && i.kind0 != OperandKind.MMX;
  }
}
