package org.kvm4j.vmx.entry;

import java.util.List;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.vmx.entry.EntryChecks.CheckBuilder;
import org.kvm4j.vmx.entry.EntryChecks.Section;
import org.kvm4j.vmx.exit.ExitQualification.InvalidGuestState;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** Checks on the guest-state area. SDM 27.3.1 "Checks on the Guest State Area". */
final class GuestStateChecks {
  /** Bits of IA32_DEBUGCTL that are defined. SDM 18.4.1 "IA32_DEBUGCTL MSR". */
  private static final long DEBUGCTL_DEFINED = 0xdfc3;

  private static final String[] SEGMENTS = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

  private static final int[] CODE_AND_DATA = {Cpu.ES, Cpu.CS, Cpu.SS, Cpu.DS, Cpu.FS, Cpu.GS};

  private static final int STI = 1;
  private static final int MOV_SS = 2;
  private static final int SMI = 4;
  private static final int NMI = 8;

  private final List<CheckBuilder> checks;

  private GuestStateChecks(List<CheckBuilder> checks) {
    this.checks = checks;
  }

  static void add(List<CheckBuilder> checks) {
    GuestStateChecks all = new GuestStateChecks(checks);
    all.registers();
    all.selectors();
    all.bases();
    all.limits();
    all.accessRights();
    all.systemSegments();
    all.tables();
    all.rip();
    all.nonRegister();
    all.pdptes();
  }

  private CheckBuilder check(Section section, String id, String statement) {
    CheckBuilder builder = new CheckBuilder(EntryCheck.Group.GUEST_STATE, section, id, statement);
    checks.add(builder);
    return builder;
  }

  private static VmcsField selector(int s) {
    return VmcsField.at(Vmcs.GUEST_ES_SELECTOR + s);
  }

  private static VmcsField base(int s) {
    return VmcsField.at(Vmcs.GUEST_ES_BASE + s);
  }

  private static VmcsField limit(int s) {
    return VmcsField.at(Vmcs.GUEST_ES_LIMIT + s);
  }

  private static VmcsField ar(int s) {
    return VmcsField.at(Vmcs.GUEST_ES_AR_BYTES + s);
  }

  private void canonical(Section section, VmcsField field) {
    int f = field.ordinal();
    check(section, field + "_CANONICAL", "The field contains a canonical address.")
        .reads(field)
        .passes(c -> c.isCanonical(c.v[f]))
        .nearest(c -> c.nearestCanonical(c.v[f]));
  }

  private void registers() {
    Section s = Section.GUEST_REGISTERS;
    check(
            s,
            "GUEST_CR0_FIXED",
            "CR0 has no bit that is not supported in VMX operation; PE and PG are free for an"
                + " unrestricted guest, NW and CD are never checked.")
        .reads(VmcsField.GUEST_CR0)
        .readsSecondary()
        .passes(
            c -> {
              long cr0 = c.v[Vmcs.GUEST_CR0];
              long ones = cr0Ones(c);
              return (cr0 & ones) == ones && (cr0 & cr0Zeros(c)) == 0;
            })
        .nearest(c -> c.v[Vmcs.GUEST_CR0] & ~cr0Zeros(c) | cr0Ones(c));
    check(s, "GUEST_CR0_PG_PE", "If CR0.PG is 1, CR0.PE is 1.")
        .reads(VmcsField.GUEST_CR0)
        .passes(
            c ->
                (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_PG) == 0
                    || (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_PE) != 0)
        .nearest(c -> c.v[Vmcs.GUEST_CR0] | ControlBits.CR0_PE);
    check(s, "GUEST_CR4_FIXED", "CR4 has no bit that is not supported in VMX operation.")
        .reads(VmcsField.GUEST_CR4)
        .passes(
            c ->
                (c.v[Vmcs.GUEST_CR4] & c.capabilities.cr4Fixed0) == c.capabilities.cr4Fixed0
                    && (c.v[Vmcs.GUEST_CR4] & ~c.capabilities.cr4Fixed1) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_CR4] & c.capabilities.cr4Fixed1 | c.capabilities.cr4Fixed0);
    check(s, "GUEST_CR4_CET", "If CR4.CET is 1, CR0.WP is 1.")
        .reads(VmcsField.GUEST_CR0, VmcsField.GUEST_CR4)
        .passes(
            c ->
                (c.v[Vmcs.GUEST_CR4] & ControlBits.CR4_CET) == 0
                    || (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_WP) != 0)
        .nearest(c -> c.v[Vmcs.GUEST_CR0] | ControlBits.CR0_WP);
    check(
            s,
            "GUEST_IA32_DEBUGCTL_RESERVED",
            "If debug controls are loaded, reserved bits of IA32_DEBUGCTL are 0.")
        .reads(VmcsField.GUEST_IA32_DEBUGCTL, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS)
                    || (c.v[Vmcs.GUEST_IA32_DEBUGCTL] & ~DEBUGCTL_DEFINED) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_IA32_DEBUGCTL] & DEBUGCTL_DEFINED);
    check(
            s,
            "GUEST_IA32_PERF_GLOBAL_CTRL_RESERVED",
            "If IA32_PERF_GLOBAL_CTRL is loaded, its reserved bits are 0.")
        .reads(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL)
                    || (c.v[Vmcs.GUEST_IA32_PERF_GLOBAL_CTRL] & ~c.perfGlobalDefined) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_IA32_PERF_GLOBAL_CTRL] & c.perfGlobalDefined);
    check(s, "GUEST_IA32E_PAGING", "If IA-32e mode guest is 1, CR0.PG and CR4.PAE are 1.")
        .reads(VmcsField.VM_ENTRY_CONTROLS, VmcsField.GUEST_CR0, VmcsField.GUEST_CR4)
        .passes(
            c ->
                !c.guestIa32e()
                    || (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_PG) != 0
                        && (c.v[Vmcs.GUEST_CR4] & ControlBits.CR4_PAE) != 0);
    check(s, "GUEST_CR4_PCIDE", "If IA-32e mode guest is 0, CR4.PCIDE is 0.")
        .reads(VmcsField.GUEST_CR4, VmcsField.VM_ENTRY_CONTROLS)
        .passes(c -> c.guestIa32e() || (c.v[Vmcs.GUEST_CR4] & ControlBits.CR4_PCIDE) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_CR4] & ~ControlBits.CR4_PCIDE);
    check(s, "GUEST_CR3_WIDTH", "Bits of CR3 beyond the physical-address width are 0.")
        .reads(VmcsField.GUEST_CR3)
        .passes(c -> (c.v[Vmcs.GUEST_CR3] & c.cr3Reserved()) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_CR3] & ~c.cr3Reserved());
    check(s, "GUEST_DR7_RESERVED", "If debug controls are loaded, bits 63:32 of DR7 are 0.")
        .reads(VmcsField.GUEST_DR7, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c -> !c.entry(Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS) || c.v[Vmcs.GUEST_DR7] >>> 32 == 0)
        .nearest(c -> c.v[Vmcs.GUEST_DR7] & 0xffffffffL);
    canonical(s, VmcsField.GUEST_SYSENTER_ESP);
    canonical(s, VmcsField.GUEST_SYSENTER_EIP);
    check(
            s,
            "GUEST_IA32_PAT_TYPES",
            "If IA32_PAT is loaded, each of its bytes is a memory type: 0, 1, 4, 5, 6 or 7.")
        .reads(VmcsField.GUEST_IA32_PAT, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_IA32_PAT)
                    || MsrTable.isPat(c.v[Vmcs.GUEST_IA32_PAT]))
        .nearest(c -> 0x0007_0406_0007_0406L);
    check(s, "GUEST_IA32_EFER_RESERVED", "If IA32_EFER is loaded, its reserved bits are 0.")
        .reads(VmcsField.GUEST_IA32_EFER, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_IA32_EFER)
                    || (c.v[Vmcs.GUEST_IA32_EFER] & ~HostStateChecks.EFER_DEFINED) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_IA32_EFER] & HostStateChecks.EFER_DEFINED);
    check(s, "GUEST_IA32_EFER_LMA", "If IA32_EFER is loaded, its LMA equals IA-32e mode guest.")
        .reads(VmcsField.GUEST_IA32_EFER, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_IA32_EFER)
                    || (c.v[Vmcs.GUEST_IA32_EFER] & ControlBits.EFER_LMA) != 0 == c.guestIa32e());
    check(
            s,
            "GUEST_IA32_EFER_LME",
            "If IA32_EFER is loaded and CR0.PG is 1, its LMA equals its LME.")
        .reads(VmcsField.GUEST_IA32_EFER, VmcsField.VM_ENTRY_CONTROLS, VmcsField.GUEST_CR0)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_IA32_EFER)
                    || (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_PG) == 0
                    || (c.v[Vmcs.GUEST_IA32_EFER] & ControlBits.EFER_LMA)
                        != 0
                        == ((c.v[Vmcs.GUEST_IA32_EFER] & ControlBits.EFER_LME) != 0));
    check(s, "GUEST_IA32_PKRS_RESERVED", "If PKRS is loaded, its bits 63:32 are 0.")
        .reads(VmcsField.GUEST_IA32_PKRS, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.entry(Controls.VM_ENTRY_LOAD_IA32_PKRS) || c.v[Vmcs.GUEST_IA32_PKRS] >>> 32 == 0)
        .nearest(c -> c.v[Vmcs.GUEST_IA32_PKRS] & 0xffffffffL);
    check(
            s,
            "GUEST_S_CET_BITS",
            "If CET state is loaded, reserved bits of IA32_S_CET are 0, and bits 10 (SUPPRESS) and 11"
                + " (TRACKER) are not both 1.")
        .reads(VmcsField.GUEST_S_CET, VmcsField.VM_ENTRY_CONTROLS)
        .passes(c -> !loadsCet(c) || c.isCet(c.v[Vmcs.GUEST_S_CET]))
        .nearest(c -> c.nearestCet(c.v[Vmcs.GUEST_S_CET]));
    for (VmcsField field : List.of(VmcsField.GUEST_S_CET, VmcsField.GUEST_INTR_SSP_TABLE)) {
      int f = field.ordinal();
      check(s, field + "_CANONICAL", "If CET state is loaded, the field is a canonical address.")
          .reads(field, VmcsField.VM_ENTRY_CONTROLS)
          .passes(c -> !loadsCet(c) || c.isCanonical(c.v[f]))
          .nearest(c -> c.nearestCanonical(c.v[f]));
    }
  }

  private static boolean loadsCet(EntryContext c) {
    return c.entry(Controls.VM_ENTRY_LOAD_CET_STATE);
  }

  private static long cr0Ones(EntryContext c) {
    return c.unrestricted()
        ? c.capabilities.cr0Fixed0 & ~(ControlBits.CR0_PE | ControlBits.CR0_PG)
        : c.capabilities.cr0Fixed0;
  }

  private static long cr0Zeros(EntryContext c) {
    return ~c.capabilities.cr0Fixed1 & ~(ControlBits.CR0_NW | ControlBits.CR0_CD);
  }

  private CheckBuilder segment(String id, String statement) {
    return check(Section.GUEST_SEGMENTS, id, statement);
  }

  private void selectors() {
    segment("GUEST_TR_SELECTOR_TI", "TI (bit 2) of the selector of TR is 0.")
        .reads(VmcsField.GUEST_TR_SELECTOR)
        .passes(c -> (c.v[Vmcs.GUEST_TR_SELECTOR] & 4) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_TR_SELECTOR] & ~4L);
    segment("GUEST_LDTR_SELECTOR_TI", "If LDTR is usable, TI (bit 2) of its selector is 0.")
        .reads(VmcsField.GUEST_LDTR_SELECTOR, VmcsField.GUEST_LDTR_AR_BYTES)
        .passes(c -> !c.usable(Cpu.LDTR) || (c.v[Vmcs.GUEST_LDTR_SELECTOR] & 4) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_LDTR_SELECTOR] & ~4L);
    segment(
            "GUEST_SS_SELECTOR_RPL",
            "If the guest is neither virtual-8086 nor unrestricted, the RPLs of SS and CS are equal.")
        .reads(VmcsField.GUEST_SS_SELECTOR, VmcsField.GUEST_CS_SELECTOR, VmcsField.GUEST_RFLAGS)
        .readsSecondary()
        .passes(c -> c.v86() || c.unrestricted() || c.rpl(Cpu.SS) == c.rpl(Cpu.CS))
        .nearest(c -> c.v[Vmcs.GUEST_SS_SELECTOR] & ~3L | c.rpl(Cpu.CS));
  }

  private void bases() {
    for (int s : CODE_AND_DATA) {
      int b = Vmcs.GUEST_ES_BASE + s;
      int sel = Vmcs.GUEST_ES_SELECTOR + s;
      segment(
              "GUEST_" + SEGMENTS[s] + "_BASE_V86",
              "In virtual-8086 mode, the base is the selector shifted left by 4.")
          .reads(base(s), selector(s), VmcsField.GUEST_RFLAGS)
          .passes(c -> !c.v86() || c.v[b] == c.v[sel] << 4)
          .nearest(c -> c.v[sel] << 4);
    }
    canonicalBase(VmcsField.GUEST_TR_BASE);
    canonicalBase(VmcsField.GUEST_FS_BASE);
    canonicalBase(VmcsField.GUEST_GS_BASE);
    segment("GUEST_LDTR_BASE_CANONICAL", "If LDTR is usable, its base is canonical.")
        .reads(VmcsField.GUEST_LDTR_BASE, VmcsField.GUEST_LDTR_AR_BYTES)
        .passes(c -> !c.usable(Cpu.LDTR) || c.isCanonical(c.v[Vmcs.GUEST_LDTR_BASE]))
        .nearest(c -> c.nearestCanonical(c.v[Vmcs.GUEST_LDTR_BASE]));
    segment("GUEST_CS_BASE_WIDTH", "Bits 63:32 of the base of CS are 0.")
        .reads(VmcsField.GUEST_CS_BASE)
        .passes(c -> c.v[Vmcs.GUEST_CS_BASE] >>> 32 == 0)
        .nearest(c -> c.v[Vmcs.GUEST_CS_BASE] & 0xffffffffL);
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES}) {
      int b = Vmcs.GUEST_ES_BASE + s;
      segment(
              "GUEST_" + SEGMENTS[s] + "_BASE_WIDTH",
              "If the register is usable, bits 63:32 of its base are 0.")
          .reads(base(s), ar(s))
          .passes(c -> !c.usable(s) || c.v[b] >>> 32 == 0)
          .nearest(c -> c.v[b] & 0xffffffffL);
    }
  }

  private void canonicalBase(VmcsField field) {
    canonical(Section.GUEST_SEGMENTS, field);
  }

  private void limits() {
    for (int s : CODE_AND_DATA) {
      int l = Vmcs.GUEST_ES_LIMIT + s;
      segment(
              "GUEST_" + SEGMENTS[s] + "_LIMIT_V86",
              "In virtual-8086 mode, the limit is 0000FFFFH.")
          .reads(limit(s), VmcsField.GUEST_RFLAGS)
          .passes(c -> !c.v86() || c.v[l] == 0xffff)
          .nearest(c -> 0xffff);
    }
  }

  /** A check of access rights that counts outside of virtual-8086 mode only. */
  private CheckBuilder rights(int s, String id, String statement, EntryCheck.Predicate rule) {
    return segment("GUEST_" + SEGMENTS[s] + "_AR_" + id, statement)
        .reads(ar(s), VmcsField.GUEST_RFLAGS)
        .passes(c -> c.v86() || rule.passes(c));
  }

  private void accessRights() {
    for (int s : CODE_AND_DATA) {
      segment(
              "GUEST_" + SEGMENTS[s] + "_AR_V86",
              "In virtual-8086 mode, the access rights are 000000F3H.")
          .reads(ar(s), VmcsField.GUEST_RFLAGS)
          .passes(c -> !c.v86() || c.ar(s) == 0xf3)
          .nearest(c -> 0xf3);
    }

    // Type.
    rights(
            Cpu.CS,
            "TYPE",
            "The type of CS is 9, 11, 13 or 15 (accessed code), or 3 for an unrestricted guest.",
            c -> {
              int type = c.type(Cpu.CS);
              return (type & 9) == 9 || type == 3 && c.unrestricted();
            })
        .readsSecondary();
    rights(
        Cpu.SS,
        "TYPE",
        "If SS is usable, its type is 3 or 7 (accessed writable data).",
        c -> !c.usable(Cpu.SS) || (c.type(Cpu.SS) & 11) == 3);
    for (int s : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      rights(
          s,
          "TYPE",
          "If the register is usable, bit 0 of its type is 1 (accessed), and if bit 3 is 1 (code),"
              + " bit 1 is 1 (readable).",
          c -> !c.usable(s) || (c.type(s) & 1) != 0 && (c.type(s) & 10) != 8);
    }

    for (int s : CODE_AND_DATA) {
      rights(
              s,
              "S",
              s == Cpu.CS ? "S (bit 4) of CS is 1." : "If the register is usable, S (bit 4) is 1.",
              c -> s != Cpu.CS && !c.usable(s) || (c.ar(s) & Segment.S) != 0)
          .nearest(c -> c.ar(s) | Segment.S);
    }

    // DPL.
    rights(
            Cpu.CS,
            "DPL",
            "The DPL of CS is 0 for type 3, the DPL of SS for types 9 and 11, and not greater than"
                + " the DPL of SS for types 13 and 15.",
            c ->
                switch (c.type(Cpu.CS)) {
                  case 3 -> c.dpl(Cpu.CS) == 0;
                  case 9, 11 -> c.dpl(Cpu.CS) == c.dpl(Cpu.SS);
                  case 13, 15 -> c.dpl(Cpu.CS) <= c.dpl(Cpu.SS);
                  default -> true;
                })
        .reads(ar(Cpu.SS));
    rights(
            Cpu.SS,
            "DPL_RPL",
            "If the guest is not unrestricted, the DPL of SS equals its RPL.",
            c -> c.unrestricted() || c.dpl(Cpu.SS) == c.rpl(Cpu.SS))
        .reads(VmcsField.GUEST_SS_SELECTOR)
        .readsSecondary();
    rights(
            Cpu.SS,
            "DPL_ZERO",
            "The DPL of SS is 0 if the type of CS is 3 or CR0.PE is 0.",
            c ->
                c.dpl(Cpu.SS) == 0
                    || c.type(Cpu.CS) != 3 && (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_PE) != 0)
        .reads(ar(Cpu.CS), VmcsField.GUEST_CR0);
    for (int s : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      rights(
              s,
              "DPL",
              "If the guest is not unrestricted, and the register is usable with type 0 to 11, its"
                  + " DPL is not less than its RPL.",
              c -> c.unrestricted() || !c.usable(s) || c.type(s) > 11 || c.dpl(s) >= c.rpl(s))
          .reads(selector(s))
          .readsSecondary();
    }

    for (int s : CODE_AND_DATA) {
      boolean cs = s == Cpu.CS;
      rights(
              s,
              "P",
              cs ? "P (bit 7) of CS is 1." : "If the register is usable, P (bit 7) is 1.",
              c -> !cs && !c.usable(s) || (c.ar(s) & Segment.P) != 0)
          .nearest(c -> c.ar(s) | Segment.P);
      rights(
              s,
              "RESERVED",
              cs
                  ? "Bits 11:8 and 31:17 of the access rights of CS are 0."
                  : "If the register is usable, bits 11:8 and 31:17 of its access rights are 0.",
              c -> !cs && !c.usable(s) || (c.ar(s) & 0xfffe0f00) == 0)
          .nearest(c -> c.ar(s) & 0x1f0ff);
      if (cs) {
        rights(
                s,
                "DB",
                "If IA-32e mode guest and L (bit 13) of CS are 1, D/B (bit 14) is 0.",
                c ->
                    !c.guestIa32e()
                        || (c.ar(Cpu.CS) & (Segment.L | Segment.DB)) != (Segment.L | Segment.DB))
            .reads(VmcsField.VM_ENTRY_CONTROLS)
            .nearest(c -> c.ar(Cpu.CS) & ~Segment.DB);
      }
      rights(
              s,
              "G",
              (cs ? "" : "If the register is usable, ")
                  + "G (bit 15) is 0 if any bit of 11:0 of the limit is 0, and 1 if any of 31:20 is"
                  + " 1.",
              c -> !cs && !c.usable(s) || c.granularityFits(s))
          .reads(limit(s))
          .nearest(c -> c.ar(s) ^ Segment.G);
    }
  }

  private void systemSegments() {
    system(
            Cpu.TR,
            "TYPE",
            "The type of TR is 11 (busy 32-bit or 64-bit TSS), or 3 (busy 16-bit TSS) if IA-32e mode"
                + " guest is 0.",
            c -> c.type(Cpu.TR) == 11 || c.type(Cpu.TR) == 3 && !c.guestIa32e())
        .reads(VmcsField.VM_ENTRY_CONTROLS)
        .nearest(c -> c.ar(Cpu.TR) & ~15 | 11);
    systemRights(Cpu.TR, "");
    system(Cpu.TR, "USABLE", "TR is usable: bit 16 is 0.", c -> c.usable(Cpu.TR))
        .nearest(c -> c.ar(Cpu.TR) & ~Segment.UNUSABLE);
    system(
            Cpu.LDTR,
            "TYPE",
            "If LDTR is usable, its type is 2 (LDT).",
            c -> !c.usable(Cpu.LDTR) || c.type(Cpu.LDTR) == 2)
        .nearest(c -> c.ar(Cpu.LDTR) & ~15 | 2);
    systemRights(Cpu.LDTR, "If LDTR is usable, ");
  }

  private CheckBuilder system(int s, String id, String statement, EntryCheck.Predicate rule) {
    return segment("GUEST_" + SEGMENTS[s] + "_AR_" + id, statement).reads(ar(s)).passes(rule);
  }

  private void systemRights(int s, String condition) {
    boolean tr = s == Cpu.TR;
    system(
            s,
            "S",
            condition + "S (bit 4) is 0.",
            c -> !tr && !c.usable(s) || (c.ar(s) & Segment.S) == 0)
        .nearest(c -> c.ar(s) & ~Segment.S);
    system(
            s,
            "P",
            condition + "P (bit 7) is 1.",
            c -> !tr && !c.usable(s) || (c.ar(s) & Segment.P) != 0)
        .nearest(c -> c.ar(s) | Segment.P);
    system(
            s,
            "RESERVED",
            condition + "bits 11:8 and 31:17 of the access rights are 0.",
            c -> !tr && !c.usable(s) || (c.ar(s) & 0xfffe0f00) == 0)
        .nearest(c -> c.ar(s) & 0x1f0ff);
    system(
            s,
            "G",
            condition
                + "G (bit 15) is 0 if any bit of 11:0 of the limit is 0, and 1 if any of 31:20 is"
                + " 1.",
            c -> !tr && !c.usable(s) || c.granularityFits(s))
        .reads(limit(s))
        .nearest(c -> c.ar(s) ^ Segment.G);
  }

  private void tables() {
    Section s = Section.GUEST_TABLES;
    canonical(s, VmcsField.GUEST_GDTR_BASE);
    canonical(s, VmcsField.GUEST_IDTR_BASE);
    for (VmcsField field : List.of(VmcsField.GUEST_GDTR_LIMIT, VmcsField.GUEST_IDTR_LIMIT)) {
      int f = field.ordinal();
      check(s, field + "_WIDTH", "Bits 31:16 of the limit are 0.")
          .reads(field)
          .passes(c -> c.v[f] >>> 16 == 0)
          .nearest(c -> c.v[f] & 0xffff);
    }
  }

  private void rip() {
    Section s = Section.GUEST_RIP;
    check(
            s,
            "GUEST_RIP_WIDTH",
            "If IA-32e mode guest is 0 or L (bit 13) of CS is 0, bits 63:32 of RIP are 0.")
        .reads(VmcsField.GUEST_RIP, VmcsField.GUEST_CS_AR_BYTES, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                c.guestIa32e() && (c.ar(Cpu.CS) & Segment.L) != 0
                    || c.v[Vmcs.GUEST_RIP] >>> 32 == 0)
        .nearest(c -> c.v[Vmcs.GUEST_RIP] & 0xffffffffL);
    check(
            s,
            "GUEST_RIP_CANONICAL",
            "If IA-32e mode guest and L (bit 13) of CS are 1, the bits of RIP beyond the"
                + " linear-address width are identical.")
        .reads(VmcsField.GUEST_RIP, VmcsField.GUEST_CS_AR_BYTES, VmcsField.VM_ENTRY_CONTROLS)
        .passes(
            c ->
                !c.guestIa32e()
                    || (c.ar(Cpu.CS) & Segment.L) == 0
                    || c.areUpperBitsIdentical(c.v[Vmcs.GUEST_RIP]))
        .nearest(c -> c.nearestCanonical(c.v[Vmcs.GUEST_RIP]));
    long reserved = 0xffff_ffff_ffc0_0000L | 0x8000 | 0x20 | 8;
    check(s, "GUEST_RFLAGS_RESERVED", "Bits 63:22, 15, 5 and 3 of RFLAGS are 0, and bit 1 is 1.")
        .reads(VmcsField.GUEST_RFLAGS)
        .passes(c -> (c.v[Vmcs.GUEST_RFLAGS] & (reserved | 2)) == 2)
        .nearest(c -> c.v[Vmcs.GUEST_RFLAGS] & ~reserved | 2);
    check(s, "GUEST_RFLAGS_VM", "RFLAGS.VM is 0 if IA-32e mode guest is 1 or CR0.PE is 0.")
        .reads(VmcsField.GUEST_RFLAGS, VmcsField.VM_ENTRY_CONTROLS, VmcsField.GUEST_CR0)
        .passes(c -> !c.v86() || !c.guestIa32e() && (c.v[Vmcs.GUEST_CR0] & ControlBits.CR0_PE) != 0)
        .nearest(c -> c.v[Vmcs.GUEST_RFLAGS] & ~(long) Flags.VM);
    check(s, "GUEST_RFLAGS_IF", "If an external interrupt is injected, RFLAGS.IF is 1.")
        .reads(VmcsField.GUEST_RFLAGS, VmcsField.VM_ENTRY_INTR_INFO_FIELD)
        .passes(
            c ->
                !c.injects(InterruptionInfo.EXTERNAL_INTERRUPT)
                    || (c.v[Vmcs.GUEST_RFLAGS] & Flags.IF) != 0)
        .nearest(c -> c.v[Vmcs.GUEST_RFLAGS] | Flags.IF);
    check(s, "GUEST_SSP_ALIGNED", "If CET state is loaded, bits 1:0 of SSP are 0.")
        .reads(VmcsField.GUEST_SSP, VmcsField.VM_ENTRY_CONTROLS)
        .passes(c -> !loadsCet(c) || (c.v[Vmcs.GUEST_SSP] & 3) == 0)
        .nearest(c -> c.v[Vmcs.GUEST_SSP] & ~3L);
    check(
            s,
            "GUEST_SSP_WIDTH",
            "If CET state is loaded, the bits of SSP beyond the linear-address width are identical.")
        .reads(VmcsField.GUEST_SSP, VmcsField.VM_ENTRY_CONTROLS)
        .passes(c -> !loadsCet(c) || c.areUpperBitsIdentical(c.v[Vmcs.GUEST_SSP]))
        .nearest(c -> c.nearestCanonical(c.v[Vmcs.GUEST_SSP]));
  }

  private static boolean blocking(EntryContext c, int bits) {
    return (c.v[Vmcs.GUEST_INTERRUPTIBILITY_INFO] & bits) != 0;
  }

  private void nonRegister() {
    activity();
    interruptibility();
    pendingDebug();
    linkPointer();
  }

  private void activity() {
    Section s = Section.GUEST_NON_REGISTER;
    check(
            s,
            "GUEST_ACTIVITY_SUPPORTED",
            "The activity state is active (0) or one that the processor supports.")
        .reads(VmcsField.GUEST_ACTIVITY_STATE)
        .passes(
            c -> {
              long state = c.v[Vmcs.GUEST_ACTIVITY_STATE];
              return state == 0
                  || state <= 3
                      && (c.capabilities.misc & VmxCapabilities.MISC_ACTIVITY_HLT << state - 1)
                          != 0;
            })
        .nearest(c -> 0);
    check(s, "GUEST_ACTIVITY_HLT_CPL", "The activity state is HLT only if the DPL of SS is 0.")
        .reads(VmcsField.GUEST_ACTIVITY_STATE, VmcsField.GUEST_SS_AR_BYTES)
        .passes(c -> c.v[Vmcs.GUEST_ACTIVITY_STATE] != Cpu.HALTED || c.dpl(Cpu.SS) == 0)
        .nearest(c -> 0);
    check(
            s,
            "GUEST_ACTIVITY_BLOCKING",
            "The activity state is active if there is blocking by STI or by MOV SS.")
        .reads(VmcsField.GUEST_ACTIVITY_STATE, VmcsField.GUEST_INTERRUPTIBILITY_INFO)
        .passes(c -> c.v[Vmcs.GUEST_ACTIVITY_STATE] == 0 || !blocking(c, STI | MOV_SS))
        .nearest(c -> 0);
    check(
            s,
            "GUEST_ACTIVITY_INJECTION",
            "If an event is injected, the activity state is one that it may be delivered in: HLT for"
                + " external interrupts, NMIs, #DB, #MC and pending MTF exits; shutdown for NMIs and"
                + " #MC.")
        .reads(VmcsField.GUEST_ACTIVITY_STATE, VmcsField.VM_ENTRY_INTR_INFO_FIELD)
        .passes(
            c -> {
              if (!c.injects()) {
                return true;
              }
              int type = InterruptionInfo.type(c.intrInfo());
              int vector = InterruptionInfo.vector(c.intrInfo());
              boolean hardware = type == InterruptionInfo.HARDWARE_EXCEPTION;
              return switch ((int) c.v[Vmcs.GUEST_ACTIVITY_STATE]) {
                case Cpu.HALTED ->
                    type == InterruptionInfo.EXTERNAL_INTERRUPT
                        || type == InterruptionInfo.NMI
                        || hardware && (vector == 1 || vector == 18)
                        || type == InterruptionInfo.OTHER_EVENT && vector == 0;
                case Cpu.SHUTDOWN -> type == InterruptionInfo.NMI || hardware && vector == 18;
                case Cpu.WAIT_FOR_SIPI -> false;
                default -> true;
              };
            })
        .nearest(c -> 0);
  }

  private void interruptibility() {
    Section s = Section.GUEST_NON_REGISTER;
    VmcsField field = VmcsField.GUEST_INTERRUPTIBILITY_INFO;
    int f = Vmcs.GUEST_INTERRUPTIBILITY_INFO;
    check(
            s,
            "GUEST_INTERRUPTIBILITY_RESERVED",
            "Bits 31:4 of the interruptibility state are 0 (bit 4 is for processors with SGX).")
        .reads(field)
        .passes(c -> c.v[f] >>> 4 == 0)
        .nearest(c -> c.v[f] & 15);
    check(
            s,
            "GUEST_INTERRUPTIBILITY_STI_MOV_SS",
            "Blocking by STI and blocking by MOV SS are not both 1.")
        .reads(field)
        .passes(c -> (c.v[f] & (STI | MOV_SS)) != (STI | MOV_SS))
        .nearest(c -> c.v[f] & ~(long) STI);
    check(s, "GUEST_INTERRUPTIBILITY_STI_IF", "If RFLAGS.IF is 0, blocking by STI is 0.")
        .reads(field, VmcsField.GUEST_RFLAGS)
        .passes(c -> (c.v[Vmcs.GUEST_RFLAGS] & Flags.IF) != 0 || !blocking(c, STI))
        .nearest(c -> c.v[f] & ~(long) STI);
    check(
            s,
            "GUEST_INTERRUPTIBILITY_INTERRUPT",
            "If an external interrupt is injected, blocking by STI and by MOV SS are 0.")
        .reads(field, VmcsField.VM_ENTRY_INTR_INFO_FIELD)
        .passes(c -> !c.injects(InterruptionInfo.EXTERNAL_INTERRUPT) || !blocking(c, STI | MOV_SS))
        .nearest(c -> c.v[f] & ~(long) (STI | MOV_SS));
    check(s, "GUEST_INTERRUPTIBILITY_NMI_MOV_SS", "If an NMI is injected, blocking by MOV SS is 0.")
        .reads(field, VmcsField.VM_ENTRY_INTR_INFO_FIELD)
        .passes(c -> !c.injects(InterruptionInfo.NMI) || !blocking(c, MOV_SS))
        .nearest(c -> c.v[f] & ~(long) MOV_SS);
    check(s, "GUEST_INTERRUPTIBILITY_SMI", "Blocking by SMI is 0 if the processor is not in SMM.")
        .reads(field)
        .passes(c -> !blocking(c, SMI))
        .nearest(c -> c.v[f] & ~(long) SMI);
    check(
            s,
            "GUEST_INTERRUPTIBILITY_VIRTUAL_NMI",
            "If virtual NMIs is 1 and an NMI is injected, blocking by NMI is 0.")
        .reads(field, VmcsField.VM_ENTRY_INTR_INFO_FIELD, VmcsField.PIN_BASED_VM_EXEC_CONTROL)
        .passes(
            c ->
                !c.pin(Controls.PIN_BASED_VIRTUAL_NMIS)
                    || !c.injects(InterruptionInfo.NMI)
                    || !blocking(c, NMI))
        .nearest(c -> c.v[f] & ~(long) NMI);
  }

  private void pendingDebug() {
    Section s = Section.GUEST_NON_REGISTER;
    VmcsField field = VmcsField.GUEST_PENDING_DBG_EXCEPTIONS;
    int f = Vmcs.GUEST_PENDING_DBG_EXCEPTIONS;
    long reserved = ~0x500fL;
    check(
            s,
            "GUEST_PENDING_DEBUG_RESERVED",
            "Bits 11:4, 13 and 63:15 of the pending debug exceptions are 0.")
        .reads(field)
        .passes(c -> (c.v[f] & reserved) == 0)
        .nearest(c -> c.v[f] & ~reserved);
    check(
            s,
            "GUEST_PENDING_DEBUG_BS",
            "With blocking by STI or MOV SS, or in the HLT state, BS (bit 14) is 1 if RFLAGS.TF is 1"
                + " and IA32_DEBUGCTL.BTF is 0, and 0 otherwise.")
        .reads(
            field,
            VmcsField.GUEST_INTERRUPTIBILITY_INFO,
            VmcsField.GUEST_ACTIVITY_STATE,
            VmcsField.GUEST_RFLAGS,
            VmcsField.GUEST_IA32_DEBUGCTL)
        .passes(
            c -> {
              if (!blocking(c, STI | MOV_SS) && c.v[Vmcs.GUEST_ACTIVITY_STATE] != Cpu.HALTED) {
                return true;
              }
              boolean steps =
                  (c.v[Vmcs.GUEST_RFLAGS] & Flags.TF) != 0
                      && (c.v[Vmcs.GUEST_IA32_DEBUGCTL] & 2) == 0;
              return (c.v[f] & 1 << 14) != 0 == steps;
            })
        .nearest(c -> c.v[f] ^ 1 << 14);
  }

  private void linkPointer() {
    Section s = Section.GUEST_NON_REGISTER;
    VmcsField field = VmcsField.VMCS_LINK_POINTER;
    int f = Vmcs.VMCS_LINK_POINTER;
    int qualification = (int) InvalidGuestState.LINK_POINTER.encode();
    check(
            s,
            "GUEST_LINK_POINTER_ADDRESS",
            "The VMCS link pointer, unless FFFFFFFF_FFFFFFFFH, is 4-KByte aligned and within the"
                + " physical-address width.")
        .reads(field)
        .qualification(qualification)
        .passes(c -> c.v[f] == -1 || c.isPhysical(c.v[f], 0xfff))
        .nearest(c -> -1);
    check(
            s,
            "GUEST_LINK_POINTER_REVISION",
            "The VMCS link pointer, unless FFFFFFFF_FFFFFFFFH, refers to a region with the"
                + " processor's revision identifier, whose bit 31 is VMCS shadowing.")
        .reads(field)
        .readsSecondary()
        .always()
        .qualification(qualification)
        .passes(
            c ->
                c.v[f] == -1
                    || c.readInt(c.v[f])
                        == ((int) c.capabilities.basic & 0x7fffffff
                            | (c.secondary(Controls.SECONDARY_EXEC_SHADOW_VMCS)
                                ? Vmcs.SHADOW_INDICATOR
                                : 0)))
        .nearest(c -> -1);
    check(s, "GUEST_LINK_POINTER_CURRENT", "The VMCS link pointer is not the current-VMCS pointer.")
        .reads(field)
        .qualification(qualification)
        .passes(c -> c.v[f] != c.current)
        .nearest(c -> -1);
  }

  private void pdptes() {
    Section s = Section.GUEST_PDPTES;
    int qualification = (int) InvalidGuestState.PDPTE.encode();
    check(
            s,
            "GUEST_PDPTES_FIELDS",
            "If the guest uses PAE paging with EPT, no present PDPTE of the VMCS has a reserved bit"
                + " set.")
        .reads(
            VmcsField.GUEST_PDPTR0,
            VmcsField.GUEST_PDPTR1,
            VmcsField.GUEST_PDPTR2,
            VmcsField.GUEST_PDPTR3,
            VmcsField.GUEST_CR0,
            VmcsField.GUEST_CR4,
            VmcsField.VM_ENTRY_CONTROLS)
        .readsSecondary()
        .qualification(qualification)
        .passes(
            c -> {
              if (c.guestPae() && c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT)) {
                for (int k = 0; k < 4; k++) {
                  if (!isPdpte(c, c.v[Vmcs.GUEST_PDPTR0 + k])) {
                    return false;
                  }
                }
              }
              return true;
            });
    check(
            s,
            "GUEST_PDPTES_MEMORY",
            "If the guest uses PAE paging without EPT, no present PDPTE in memory at CR3 has a"
                + " reserved bit set.")
        .reads(
            VmcsField.GUEST_CR3,
            VmcsField.GUEST_CR0,
            VmcsField.GUEST_CR4,
            VmcsField.VM_ENTRY_CONTROLS)
        .readsSecondary()
        .always()
        .qualification(qualification)
        .passes(
            c -> {
              if (c.guestPae() && !c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT)) {
                long table = c.v[Vmcs.GUEST_CR3] & 0xffff_ffe0L;
                for (int k = 0; k < 4; k++) {
                  if (!isPdpte(c, c.readLong(table + 8L * k))) {
                    return false;
                  }
                }
              }
              return true;
            });
  }

  private static boolean isPdpte(EntryContext c, long entry) {
    return (entry & 1) == 0 || (entry & (0x1e6 | c.physicalReserved())) == 0;
  }
}
