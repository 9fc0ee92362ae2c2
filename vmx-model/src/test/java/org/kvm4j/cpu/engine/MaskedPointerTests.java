package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/** Operations of the engine on pointers with metadata. */
final class MaskedPointerTests {
  @Test
  void operations_on_memory_and_stack_mask_their_pointers() {
    SystemMachine m = SystemMachine.long64(0, "sierra-forest,+apic");
    m.cpu.cr3 |= ControlBits.CR3_LAM_U57;
    m.cpu.updateMode();
    long tag = 0x2aL << 57;
    long data = SystemMachine.DATA;
    m.cpu.r[Cpu.RDI] = data | tag;
    m.cpu.r[Cpu.RSP] = data + 0x100 | tag;
    m.cpu.r[Cpu.RAX] = 5;
    Code.put(
        m,
        """
        48 89 07  48 01 07  48 8b 1f  48 ff 07  f0 48 01 07  57  59  68 34 12 00 00
        66 0f 6f 07  66 0f 7f 47 20  f4
        """
            .replaceAll("\\s", ""));
    // mov [rdi], rax; add [rdi], rax; mov rbx, [rdi]; inc [rdi]; lock add [rdi], rax
    // push rdi; pop rcx; push 0x1234; movdqa xmm0, [rdi]; movdqa [rdi + 32], xmm0; hlt
    m.cpu.cr4 |= ControlBits.CR4_OSFXSR;
    m.cpu.updateMode();
    assertEquals(Interpreter.Stop.INACTIVE, Code.engine(m).run(1000));
    assertEquals(10, m.cpu.r[Cpu.RBX]);
    assertEquals(16, m.memory.readLong(data));
    assertEquals(16, m.memory.readLong(data + 32));
    assertEquals(data | tag, m.cpu.r[Cpu.RCX]);
    assertEquals(0x1234, m.memory.readLong(data + 0xf8));
    assertEquals(data + 0xf8 | tag, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void a_pointer_that_was_good_faults_once_its_masking_is_off() {
    SystemMachine m = SystemMachine.long64(0, "sierra-forest,+apic");
    m.idt(SystemMachine.LONG0, 0x8e);
    m.cpu.r[Cpu.RDI] = SystemMachine.DATA | 1L << 60;
    m.cpu.r[Cpu.RDX] = m.cpu.cr3;
    m.cpu.cr3 |= ControlBits.CR3_LAM_U57;
    m.cpu.updateMode();
    // mov eax, [rdi]; mov cr3, rdx; mov eax, [rdi]; its handler: hlt
    Code.put(m, "8b 07 0f 22 da 8b 07");
    Code.put(m, SystemMachine.handler(13), "f4");
    assertEquals(Interpreter.Stop.INACTIVE, Code.engine(m).run(1000));
    assertEquals(SystemMachine.handler(13) + 1, m.cpu.rip);
  }
}
