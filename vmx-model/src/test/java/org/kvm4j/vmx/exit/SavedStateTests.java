package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.MinimalHypervisor.Mode;
import org.kvm4j.vmx.vmcs.VmcsField;

/** What VM exits save of the guest. */
final class SavedStateTests {
  /** SDM 28.3.2: bits 31:17 and 11:8 are always cleared; VM entries do not look at them there. */
  @Test
  void reserved_bits_of_the_access_rights_of_an_unusable_register_are_saved_as_0() {
    MinimalHypervisor h = new MinimalHypervisor().guest(Mode.LONG);
    VmcsField[] unusable = {
      VmcsField.GUEST_LDTR_AR_BYTES, VmcsField.GUEST_ES_AR_BYTES, VmcsField.GUEST_GS_AR_BYTES
    };
    for (VmcsField field : unusable) {
      h.set(field, 0xb901_0f00L);
    }
    h.code(0x0f, 0x01, 0xc1); // vmcall
    assertEquals(ExitReason.VMCALL, h.run());
    for (VmcsField field : unusable) {
      assertEquals(0x1_0000, h.get(field) & ~0xf0ffL, field.toString());
    }
  }
}
