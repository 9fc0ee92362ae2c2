package org.kvm4j.cpu.profile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models by name, and the leaves that follow from their data. */
class CpuProfilesTests {
  private static int[] cpuid(CpuModel model, int leaf, int subleaf) {
    int[] out = new int[4];
    model.cpuid(leaf, subleaf, out);
    return out;
  }

  private static String text(int... registers) {
    ByteBuffer b = ByteBuffer.allocate(registers.length * 4).order(ByteOrder.LITTLE_ENDIAN);
    for (int r : registers) {
      b.putInt(r);
    }
    return new String(b.array(), StandardCharsets.US_ASCII).replace("\0", "");
  }

  @Test
  void the_default_model_says_who_it_is() {
    CpuProfile p = CpuProfiles.defaultProfile();
    int[] zero = cpuid(p, 0, 0);
    assertEquals(0xd, zero[0]);
    assertEquals("GenuineIntel", text(zero[1], zero[3], zero[2]));
    StringBuilder brand = new StringBuilder();
    for (int leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
      brand.append(text(cpuid(p, leaf, 0)));
    }
    assertEquals(p.brand(), brand.toString());
    assertEquals(0x606a6, cpuid(p, 1, 0)[0]);
    assertEquals(0x606a6, p.signature());
    assertEquals(46 | 57 << 8, cpuid(p, 0x80000008, 0)[0]);
    assertEquals(0x80000008, cpuid(p, 0x80000000, 0)[0]);
  }

  @Test
  void every_reported_feature_has_its_bit_and_no_other_is_set() {
    CpuProfile p = CpuProfiles.defaultProfile();
    for (Feature f : Feature.values()) {
      int[] out = cpuid(p, f.leaf, f.subleaf);
      int register =
          switch (f.register) {
            case EAX -> out[0];
            case EBX -> out[1];
            case ECX -> out[2];
            case EDX -> out[3];
          };
      boolean set = (register & f.mask()) != 0;
      assertEquals(p.reported().has(f), set, f.name());
    }
  }

  @Test
  void what_is_not_built_is_not_reported() {
    CpuProfile p = CpuProfiles.defaultProfile();
    assertTrue(p.reported().has(Feature.FPU));
    assertFalse(p.reported().has(Feature.MMX));
    assertFalse(p.reported().has(Feature.SSE2));
    assertTrue(p.has(Feature.SSE2));
    assertTrue(p.reported().has(Feature.VMX));
  }

  @ParameterizedTest
  @CsvSource({"0x40000000", "0x14", "0x80000009", "0xffffffff"})
  void leaves_beyond_the_last_are_the_last_basic_one(String leaf) {
    CpuProfile p = CpuProfiles.named("kvm4j-v1,+xsave");
    assertEquals(576, cpuid(p, (int) (long) Long.decode(leaf), 0)[1]);
  }

  @Test
  void caches_and_topology() {
    CpuProfile p = CpuProfiles.defaultProfile();
    int[] l1 = cpuid(p, 4, 0);
    assertEquals(1 | 1 << 5 | 1 << 8, l1[0]);
    // 12 ways of 64 sets of 64 bytes.
    assertEquals(48 * 1024, ((l1[1] >>> 22) + 1) * ((l1[1] & 0xfff) + 1) * (l1[2] + 1));
    assertEquals(0, cpuid(p, 4, 4)[0]);
    assertEquals(0x100, cpuid(p, 0xb, 0)[2]);
    assertEquals(0x201, cpuid(p, 0xb, 1)[2]);
    assertEquals(2, cpuid(p, 0xb, 2)[2]);
  }

  @Test
  void features_can_be_taken_and_given() {
    CpuProfile p = CpuProfiles.named("KVM4J-V1,-la57,+xsave,-VMX");
    assertFalse(p.has(Feature.LA57));
    assertEquals(48, p.linearAddressBits());
    assertTrue(p.has(Feature.XSAVE));
    assertFalse(p.has(Feature.VMX));
    assertEquals(0x203, cpuid(p.with(Feature.SSE), 0xd, 0)[0]);
    assertEquals(2696, cpuid(p, 0xd, 0)[2]);
    assertEquals(8, cpuid(p, 0xd, 9)[0]);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "kvm4j-v2|unknown CPU 'kvm4j-v2'; did you mean 'kvm4j-v1'? known: kvm4j-v1, kvm4j-32",
        "z80|unknown CPU 'z80'; known: kvm4j-v1, kvm4j-32",
        "kvm4j-v1,+lm57|unknown CPU feature 'lm57'; did you mean 'la57'?",
        "kvm4j-v1,+avx|CPU feature 'avx' is not built",
        "kvm4j-v1,la57|CPU feature 'la57' has neither + nor - before its name"
      })
  void mistakes_get_a_clear_answer(String description, String message) {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> CpuProfiles.named(description));
    assertEquals(message, e.getMessage());
  }

  @Test
  void constant_registers_come_with_the_model() {
    CpuProfile p = CpuProfiles.defaultProfile().withMsr(0x480, 5);
    assertEquals(5L, p.msrs().get(0x480));
    assertTrue(p.msrs().containsKey(0x10a));
  }
}
