package org.kvm4j.vmx.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.explain.VmxTrace.Category;
import org.kvm4j.vmx.vmcs.VmcsField;

/** What is told of VMX instructions, entries and exits, and what is not asked for. */
class VmxTraceTests {
  private static final long OPERAND = 0x60000;

  private final MinimalHypervisor h =
      new MinimalHypervisor().guest(MinimalHypervisor.Mode.LONG).code(0x0f, 0xa2, 0xf4);
  private final List<String> lines = new ArrayList<>();

  private void trace(Category first, Category... rest) {
    h.vmx.observe(new VmxTrace(h.cpu, h.vmx, 1, "kvm4j-v1", EnumSet.of(first, rest), lines::add));
  }

  /** Executes an instruction of the host; RAX is the address of its memory operand. */
  private void execute(int... code) {
    for (int k = 0; k < code.length; k++) {
      h.memory.writeByte(MinimalHypervisor.HOST_CODE + k, (byte) code[k]);
    }
    Instruction i =
        new Decoder(h.model.features())
            .decode(
                Objects.requireNonNull(h.memory.bank(0)),
                (int) MinimalHypervisor.HOST_CODE,
                (int) MinimalHypervisor.HOST_CODE + 16,
                h.cpu.codeSize);
    h.cpu.instructionRip = MinimalHypervisor.HOST_CODE;
    h.cpu.rip = h.cpu.instructionRip + i.length;
    h.cpu.r[Cpu.RAX] = OPERAND;
    h.vmx.execute(i);
  }

  @Test
  void instructions_tell_their_operands_and_how_they_end() {
    trace(Category.VMX);
    h.memory.writeLong(OPERAND, 0x4001);
    execute(0x0f, 0xc7, 0x30); // VMPTRLD
    execute(0x0f, 0xc7, 0x38); // VMPTRST
    h.memory.writeLong(OPERAND, 5);
    h.cpu.r[Cpu.RCX] = 1;
    execute(0x66, 0x0f, 0x38, 0x81, 0x08); // INVVPID
    h.memory.writeLong(OPERAND, MinimalHypervisor.EPT | 0x1e);
    execute(0x66, 0x0f, 0x38, 0x80, 0x08); // INVEPT
    execute(0x0f, 0x01, 0xc1); // VMCALL
    execute(0x0f, 0x01, 0xc4); // VMXOFF
    assertThrows(CpuException.class, () -> execute(0x0f, 0x01, 0xc4));
    assertEquals(
        List.of(
            "cpu 1: VMPTRLD of the region at 0x4001: VMfailValid, error 9: VMPTRLD with invalid"
                + " physical address",
            "cpu 1: VMPTRST = 0x4000: VMsucceed",
            "cpu 1: INVVPID of type 1, VPID 0x5: VMsucceed",
            "cpu 1: INVEPT of type 1, EPTP 0x1001e: VMsucceed",
            "cpu 1: VMCALL: VMfailValid, error 1: VMCALL executed in VMX root operation",
            "cpu 1: VMXOFF: VMsucceed",
            "cpu 1: VMXOFF: #UD; the processor is not in VMX operation"),
        lines);
  }

  @Test
  void an_instruction_that_fails_without_a_number_says_why() {
    trace(Category.VMX, Category.FIELDS, Category.ENTRIES);
    int revision = (int) h.vmx.capabilities().basic & 0x7fffffff;
    h.vmx.vmclear(MinimalHypervisor.VMCS_REGION);
    int[] vmxon = {0xf3, 0x0f, 0xc7, 0x30};
    int[] vmptrld = {0x0f, 0xc7, 0x30};
    h.memory.writeLong(OPERAND, 0x5001);
    execute(vmptrld);
    h.memory.writeLong(OPERAND, 1L << 60);
    execute(0x66, 0x0f, 0xc7, 0x30); // VMCLEAR
    h.memory.writeLong(OPERAND, MinimalHypervisor.VMXON_REGION);
    execute(vmptrld);
    execute(vmxon);
    execute(0x0f, 0x01, 0xc1); // VMCALL
    h.cpu.r[Cpu.RCX] = VmcsField.VM_EXIT_REASON.encoding;
    execute(0x0f, 0x78, 0xcb); // VMREAD RBX, RCX
    execute(0x0f, 0x01, 0xc2); // VMLAUNCH
    h.memory.writeLong(OPERAND, 0x70000);
    h.memory.writeInt(0x70000, 0x55);
    execute(vmptrld);
    execute(0x0f, 0x01, 0xc4); // VMXOFF
    execute(vmxon);
    String noVmcs = "there is no current VMCS";
    String noNumber = noVmcs + " to hold an error number)";
    String wrongRevision =
        "(the revision identifier there is 0x55, and 0x%x is expected".formatted(revision);
    assertEquals(
        List.of(
            "cpu 1: VMPTRLD of the region at 0x5001: VMfailInvalid (the address is not aligned to 4"
                + " KBytes; "
                + noNumber,
            "cpu 1: VMCLEAR of the region at 0x1000000000000000: VMfailInvalid (the address is beyond"
                + " the %d bits of physical addresses; ".formatted(h.model.physicalAddressBits())
                + noNumber,
            "cpu 1: VMPTRLD of the region at 0x%x: VMfailInvalid (it is the VMXON region; "
                    .formatted(MinimalHypervisor.VMXON_REGION)
                + noNumber,
            "cpu 1: VMXON: VMfailInvalid (already in VMX operation)",
            "cpu 1: VMCALL: VMfailInvalid (" + noNumber,
            "cpu 1: VMREAD VM_EXIT_REASON: VMfailInvalid (" + noVmcs + ")",
            "cpu 1: VMLAUNCH: VM entry failed, VMfailInvalid (" + noVmcs + ")",
            "cpu 1: VMPTRLD of the region at 0x70000: VMfailInvalid "
                + wrongRevision
                + "; "
                + noNumber,
            "cpu 1: VMXOFF: VMsucceed",
            "cpu 1: VMXON of the region at 0x70000: VMfailInvalid " + wrongRevision + ")"),
        lines);
  }

  @Test
  void what_prepares_a_vmcs_and_fails_is_a_failure_told_once() {
    trace(Category.FAILURES);
    h.memory.writeLong(OPERAND, 0x4001);
    execute(0x0f, 0xc7, 0x30); // VMPTRLD
    execute(0x0f, 0xc7, 0x30);
    execute(0x66, 0x0f, 0xc7, 0x30); // VMCLEAR
    execute(0x0f, 0x01, 0xc1); // VMCALL: no VMCS is prepared by it
    assertEquals(
        List.of(
            "cpu 1: VMPTRLD of the region at 0x4001: VMfailValid, error 9: VMPTRLD with invalid"
                + " physical address",
            "cpu 1: VMCLEAR of the region at 0x4001: VMfailValid, error 2: VMCLEAR with invalid"
                + " physical address",
            "cpu 1: VMCALL: VMfailValid, error 1: VMCALL executed in VMX root operation"),
        lines);
  }

  @Test
  void fields_have_names_and_meanings() {
    trace(Category.FIELDS);
    h.cpu.r[Cpu.RCX] = VmcsField.VM_EXIT_REASON.encoding;
    execute(0x0f, 0x78, 0xcb); // VMREAD RBX, RCX
    h.cpu.r[Cpu.RCX] = VmcsField.TSC_OFFSET.highEncoding();
    h.cpu.r[Cpu.RBX] = 7;
    execute(0x0f, 0x79, 0xcb); // VMWRITE RCX, RBX
    h.cpu.r[Cpu.RCX] = 0x7ffe;
    execute(0x0f, 0x78, 0xcb);
    execute(0x0f, 0x01, 0xc1); // VMCALL: not asked for
    assertEquals(
        List.of(
            "cpu 1: VMREAD VM_EXIT_REASON = 0x0 (EXCEPTION_NMI (0)): VMsucceed",
            "cpu 1: VMWRITE TSC_OFFSET (high) = 0x7: VMsucceed",
            "cpu 1: VMREAD of encoding 0x7ffe: VMfailValid, error 12: VMREAD/VMWRITE from/to"
                + " unsupported VMCS component"),
        lines);
  }

  @Test
  void entries_and_exits_tell_of_events() {
    trace(Category.ENTRIES, Category.EXITS);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 13);
    h.set(
        VmcsField.VM_ENTRY_INTR_INFO_FIELD,
        InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, 13, true) & 0xffffffffL);
    h.set(VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE, 0x18);
    h.set(VmcsField.GUEST_IDTR_LIMIT, 0);
    h.run();
    assertTrue(
        lines
            .get(0)
            .matches(
                "cpu 1: VMLAUNCH: VM entry, RIP 0x40000, .*, injects hardware exception, vector 13,"
                    + " error code \\(#GP\\) 0x18"),
        lines.get(0));
    assertEquals(
        "cpu 1: VM exit: EXCEPTION_NMI (0) at RIP 0x40000, hardware exception, vector 13, error code"
            + " (#GP) 0x6b, while delivering hardware exception, vector 13, error code (#GP) 0x18",
        lines.get(1));
    assertEquals(2, lines.size());
  }

  @Test
  void an_entry_that_fails_is_told_once_as_a_failure_and_each_time_as_an_entry() {
    h.set(VmcsField.GUEST_RFLAGS, 0);
    trace(Category.FAILURES);
    h.enter();
    h.enter();
    assertEquals(1, lines.size());
    assertTrue(
        lines
            .get(0)
            .startsWith(
                "cpu 1: VMLAUNCH: VM entry failed, INVALID_GUEST_STATE (33, VM-entry failure):"
                    + " GUEST_RFLAGS_RESERVED: "),
        lines.get(0));
    lines.clear();
    trace(Category.ENTRIES);
    h.enter();
    h.enter();
    h.vmcs().launched = true;
    h.vmx.vmlaunch();
    h.vmx.vmclear(MinimalHypervisor.VMCS_REGION);
    h.vmx.vmresume();
    assertEquals(4, lines.size());
    assertEquals(
        "cpu 1: VMLAUNCH: VM entry failed, VMfailValid, error 4: VMLAUNCH with non-clear VMCS",
        lines.get(2));
    assertTrue(
        lines.get(3).startsWith("cpu 1: VMRESUME: VM entry failed, VMfailInvalid"), lines.get(3));
  }

  @Test
  void a_dump_of_a_failed_entry_says_how_it_failed() {
    h.set(VmcsField.VIRTUAL_PROCESSOR_ID, 0);
    trace(Category.DUMP);
    h.enter();
    VmcsDump dump = VmcsDump.parse(String.join("\n", lines)).get(0);
    assertEquals(7, dump.hardwareError().orElseThrow());
    assertEquals("kvm4j-v1", dump.cpu());
    h.set(VmcsField.VIRTUAL_PROCESSOR_ID, 1);
    h.set(VmcsField.GUEST_RFLAGS, 0);
    lines.clear();
    h.enter();
    dump = VmcsDump.parse(String.join("\n", lines)).get(0);
    assertEquals(0x80000021, dump.hardwareError().orElseThrow());
  }

  @Test
  void a_misconfiguration_shows_the_walk_of_the_guest_physical_address() {
    // Writable and not readable.
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000, 0xb2);
    trace(Category.EXITS, Category.EPT);
    h.run();
    String text = String.join("\n", lines);
    assertTrue(text.contains("cpu 1: VM exit: EPT_MISCONFIG (49) at RIP 0x40000, gpa 0x"), text);
    assertTrue(text.contains("cpu 1:   guest-physical 0x"), text);
    assertTrue(text.contains("MISCONFIGURED"), text);
  }

  /** The line that a walk begins with. */
  private String walk() {
    return lines.stream().filter(l -> l.contains("paging LEVEL4")).findFirst().orElse("");
  }

  @Test
  void a_fetch_is_told_as_one_whatever_of_its_walk_EPT_stops() {
    trace(Category.EXITS, Category.EPT);
    // The guest's top paging structure is in a page that may be executed alone.
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000, 0xb4);
    h.run();
    assertTrue(lines.get(0).contains("guest paging-structure entry"), lines.get(0));
    assertTrue(walk().contains("linear 0x40000, supervisor fetch, "), lines.toString());
    // The same, misconfigured: no qualification tells anything.
    lines.clear();
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000, 0xb2);
    h.vmx.invept(2, 0);
    h.run();
    assertTrue(walk().contains(", supervisor fetch, "), lines.toString());
  }

  @Test
  void a_data_access_is_told_as_what_the_instruction_does() {
    h.code(0xc6, 0x04, 0x25, 0, 0, 0x20, 0, 1); // mov byte [0x200000], 1
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2008, 0);
    trace(Category.EPT);
    h.run();
    assertTrue(walk().contains("linear 0x200000, supervisor write, "), lines.toString());
  }

  private static final int[] VMLAUNCH = {0x0f, 0x01, 0xc2};
  private static final int[] VMRESUME = {0x0f, 0x01, 0xc3};

  @Test
  void each_way_in_which_an_instruction_fails_is_told_once() {
    trace(Category.FAILURES);
    for (int round = 0; round < 2; round++) {
      execute(VMRESUME);
      h.cpu.shadow = Cpu.SHADOW_MOV_SS;
      execute(VMLAUNCH);
      h.cpu.shadow = 0;
      h.cpu.r[Cpu.RCX] = 0x9998;
      execute(0x0f, 0x79, 0xc9); // vmwrite rcx, rcx
    }
    h.run();
    execute(VMLAUNCH);
    h.vmx.vmclear(MinimalHypervisor.VMCS_REGION);
    execute(VMLAUNCH);
    assertEquals(
        List.of(
            "cpu 1: VMRESUME: VM entry failed, VMfailValid, error 5: VMRESUME with non-launched"
                + " VMCS",
            "cpu 1: VMLAUNCH: VM entry failed, VMfailValid, error 26: VM entry with events blocked"
                + " by MOV SS",
            "cpu 1: VMWRITE of encoding 0x9998 = 0x9998: VMfailValid, error 12: VMREAD/VMWRITE"
                + " from/to unsupported VMCS component",
            "cpu 1: VMLAUNCH: VM entry failed, VMfailValid, error 4: VMLAUNCH with non-clear VMCS",
            "cpu 1: VMLAUNCH: VM entry failed, VMfailInvalid (there is no current VMCS)"),
        lines);
  }

  private void faults(String cause, int... code) {
    lines.clear();
    trace(Category.FAILURES);
    assertThrows(CpuException.class, () -> execute(code));
    assertEquals(List.of("cpu 1: " + cause), lines);
  }

  @Test
  void what_an_instruction_lacks_that_faults_is_told() {
    int[] vmxon = {0xf3, 0x0f, 0xc7, 0x30};
    h.cpu.cpl = 3;
    faults("VMLAUNCH: #GP; CPL is 3", VMLAUNCH);
    h.cpu.cpl = 0;
    h.vmx.vmxoff();
    faults("VMLAUNCH: #UD; the processor is not in VMX operation", VMLAUNCH);
    h.cpu.cr4 = 0x20;
    faults("VMXON: #UD; CR4.VMXE is 0", vmxon);
    h.cpu.cr4 = 0x2020;
    h.cpu.msr.featureControl = 4;
    faults("VMXON: #GP; IA32_FEATURE_CONTROL is 0x4: it is not locked (bit 0)", vmxon);
    h.cpu.msr.featureControl = 1;
    faults(
        "VMXON: #GP; IA32_FEATURE_CONTROL is 0x1: VMXON outside SMX operation is not enabled (bit"
            + " 2)",
        vmxon);
    h.cpu.msr.featureControl = 5;
    h.cpu.cr0 = 0x80050013L;
    faults(
        "VMXON: #GP; CR0 is 0x80050013, of which bits 0x20 have to be 1 (IA32_VMX_CR0_FIXED0)",
        vmxon);
    h.cpu.cr0 = 0x80050033L;
    h.cpu.cpl = 2;
    faults("VMXON: #GP; CPL is 2", vmxon);
    h.cpu.cpl = 0;
    h.cpu.codeSize = 4;
    faults("VMXON: #UD; the processor is in compatibility mode", vmxon);
    h.cpu.protectedMode = false;
    faults("VMXON: #UD; the processor is in real or virtual-8086 mode", vmxon);
  }

  @Test
  void an_abort_is_told() {
    trace(Category.EXITS);
    h.set(VmcsField.VM_EXIT_MSR_LOAD_COUNT, 1);
    h.set(VmcsField.VM_EXIT_MSR_LOAD_ADDR, MinimalHypervisor.MSR_AREA);
    h.memory.writeLong(MinimalHypervisor.MSR_AREA, 0x1_0000_0000L | 0x10);
    h.run();
    assertEquals(
        "cpu 1: VMX abort, indicator 4: There was a failure on loading host MSRs (SDM 28.7 \"VMX"
            + " Aborts\"): MSR 0x10 of the VM-exit MSR-load list cannot be loaded with 0x0",
        lines.get(lines.size() - 1));
  }
}
