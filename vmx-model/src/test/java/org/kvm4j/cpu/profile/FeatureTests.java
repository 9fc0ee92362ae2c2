package org.kvm4j.cpu.profile;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FeatureTests {

  @Test
  void noTwoFeaturesShareABit() {
    Map<String, Feature> seen = new HashMap<>();
    for (Feature f : Feature.values()) {
      assertTrue(f.bit >= 0 && f.bit < 32, f.name());
      assertNull(seen.put(f.leaf + "." + f.subleaf + f.register + f.bit, f), f.name());
    }
  }

  @Test
  void aSetGivesTheBitsOfARegister() {
    FeatureSet set = FeatureSet.of(Feature.SSE2, Feature.FPU, Feature.AVX2, Feature.LM);
    assertEquals(1 << 26 | 1, set.bits(1, 0, Feature.Register.EDX));
    assertEquals(1 << 5, set.bits(7, 0, Feature.Register.EBX));
    assertEquals(1 << 29, set.bits(0x80000001, 0, Feature.Register.EDX));
    assertEquals(0, set.bits(7, 1, Feature.Register.EAX));
  }

  @Test
  void setsDoNotChange() {
    FeatureSet set = FeatureSet.of(Feature.SSE2);
    FeatureSet more = set.with(Feature.AVX);
    assertTrue(more.has(Feature.AVX));
    assertFalse(set.has(Feature.AVX));
    assertEquals(set, more.without(Feature.AVX));
    assertEquals(Feature.values().length, FeatureSet.all().asSet().size());
    assertTrue(FeatureSet.none().asSet().isEmpty());
  }
}
