package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.profile.Feature;

/** Which instructions that the decoder knows are built. */
class HandlersTests {
  /** What is not built: its instructions are #UD, and no model reports it. */
  private static final Set<Feature> REFUSED =
      EnumSet.of(
          Feature.RDPRU,
          Feature.MONITORX,
          Feature.RTM,
          Feature.SMX,
          Feature.SGX,
          Feature.PCONFIG,
          Feature.SVM,
          Feature.SKINIT);

  /**
   * No instructions; and RSM, which is #UD outside of system-management mode, which is not built.
   */
  private static final Set<Opcode> WITHOUT =
      EnumSet.of(Opcode.INVALID, Opcode.TOO_LONG, Opcode.PAST_LIMIT, Opcode.RSM);

  @Test
  void every_instruction_is_built_or_of_a_feature_that_is_refused() {
    for (Opcode opcode : Opcode.values()) {
      boolean refused = opcode.feature != null && REFUSED.contains(opcode.feature);
      assertEquals(
          !refused && !WITHOUT.contains(opcode), Handlers.has(opcode), "handler of " + opcode);
    }
  }

  @Test
  void no_model_has_a_feature_that_is_refused() {
    for (String name : CpuProfiles.names()) {
      CpuProfile model = CpuProfiles.named(name);
      for (Feature feature : REFUSED) {
        assertFalse(model.has(feature), name + " has " + feature);
      }
    }
  }
}
