package org.kvm4j.cpu.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The opcode maps as a whole. */
class OpcodeTableTests {

  @Test
  void everyOpcodeHasAForm() {
    Set<Opcode> without = EnumSet.allOf(Opcode.class);
    for (Form form : OpcodeTable.FORMS) {
      without.remove(form.opcode);
    }
    assertEquals(EnumSet.of(Opcode.INVALID, Opcode.TOO_LONG, Opcode.PAST_LIMIT), without);
  }

  @Test
  void theFormsOfAnOpcodeByteAgreeOnModrm() {
    for (int map = 0; map < 8; map++) {
      for (int opcode = 0; opcode < 256; opcode++) {
        OpcodeTable.Node root = OpcodeTable.root(map, opcode);
        assertNotNull(root);
        for (Form form : root.forms) {
          assertEquals(root.modrm, form.modrm, "map " + map + " opcode " + opcode);
        }
      }
    }
  }

  @Test
  void formsAreNumberedByTheirPlace() {
    for (int id = 0; id < OpcodeTable.FORMS.length; id++) {
      assertEquals(id, OpcodeTable.FORMS[id].id);
    }
  }
}
