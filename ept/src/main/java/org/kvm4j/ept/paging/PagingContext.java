package org.kvm4j.ept.paging;

import org.jspecify.annotations.Nullable;

/**
 * Everything that decides how one CPU translates an address now: control bits, roots, rights of
 * protection keys, EPT. One per CPU, mutable, not thread-safe; the CPU keeps it in step with its
 * registers.
 */
public final class PagingContext {
  /** The guest's paging mode. */
  public PagingMode mode = PagingMode.NONE;

  /** CR3; bits outside the address of the first paging structure are ignored. */
  public long cr3;

  /** CR0.WP: supervisor-mode writes heed R/W. */
  public boolean wp;

  /** CR4.SMEP: no supervisor-mode fetches from user-mode addresses. */
  public boolean smep;

  /**
   * CR4.SMAP: no supervisor-mode data accesses to user-mode addresses, but for {@link Access#AC}.
   */
  public boolean smap;

  /** IA32_EFER.NXE: bit 63 of 8-byte entries disables execution (else it is reserved). */
  public boolean nxe;

  /** CR4.PSE: 4-MByte pages in 32-bit paging. */
  public boolean pse;

  /** CR4.PGE: global pages. */
  public boolean pge;

  /** CR4.PKE: protection keys for user-mode addresses. */
  public boolean pke;

  /** CR4.PKS: protection keys for supervisor-mode addresses. */
  public boolean pks;

  /** The PKRU register. */
  public int pkru;

  /** IA32_PKRS. */
  public int pkrs;

  /**
   * The PDPTE registers of PAE paging, loaded by the CPU (see {@code
   * TwoDimensionalWalk.loadPdptes}).
   */
  public final long[] pdpte = new long[4];

  /** MAXPHYADDR: width of a physical address, in bits, 32 to 52. */
  public int physicalBits = 46;

  /** PSE-36: 4-MByte pages of 32-bit paging reach up to 40 bits of physical address. */
  public boolean pse36 = true;

  /**
   * 1-GByte pages in 4- and 5-level paging (CPUID.80000001H:EDX.Page1GB); else PDPTE bit 7 is
   * reserved.
   */
  public boolean pages1g = true;

  /** IA32_PAT; its reset value until set. */
  public long pat = 0x0007_0406_0007_0406L;

  /**
   * 0: no EPT. Else the whole EPTP: memory type, levels - 1 in bits 5:3, A/D enable in bit 6, root.
   */
  public long eptp;

  /** Capability: execute-only EPT entries (IA32_VMX_EPT_VPID_CAP bit 0). */
  public boolean eptExecuteOnly = true;

  /** Capability: 2-MByte EPT pages (IA32_VMX_EPT_VPID_CAP bit 16). */
  public boolean eptPages2m = true;

  /** Capability: 1-GByte EPT pages (IA32_VMX_EPT_VPID_CAP bit 17). */
  public boolean eptPages1g = true;

  /**
   * Capability: bits 11:9 of the qualification (IA32_VMX_EPT_VPID_CAP bit 22, advanced VM-exit
   * information).
   */
  public boolean eptAdvancedInformation;

  /** A log of the pages whose dirty flag for EPT a processor sets. */
  public interface ModificationLog {
    /** Whether there is no room: accesses that would set a flag for EPT cannot be made. */
    boolean isFull();

    /** Notes the guest-physical address of a page. */
    void add(long gpa);
  }

  /**
   * Where modified pages are logged, if page-modification logging is enabled. SDM 29.3.6
   * "Page-Modification Logging".
   */
  public @Nullable ModificationLog log;

  /**
   * The host-physical page whose accesses are those to a virtual APIC; -1 if there is none. SDM
   * 30.4 "Virtualizing Memory-Mapped APIC Accesses".
   */
  public long apicPage = -1;

  /** VM-execution control "mode-based execute control for EPT". */
  public boolean modeBasedExecute;

  /**
   * VM-execution control "enable HLAT": 4- and 5-level paging begins at {@link #hlatp} for the
   * linear addresses that {@link #hlatPrefixSize} selects. SDM 4.5.1 "Ordinary Paging and HLAT
   * Paging".
   */
  public boolean hlat;

  /** The HLAT pointer; bits outside the address of the first paging structure are ignored. */
  public long hlatp;

  /** The HLAT prefix size: 0 for all linear addresses, else those with bit 63 set. */
  public int hlatPrefixSize;

  /**
   * VM-execution control "EPT paging-write control": bit 58 of an EPT leaf lets the processor
   * update guest paging structures.
   */
  public boolean eptPagingWrite;

  /**
   * VM-execution control "guest-paging verification", which has no effect without {@link
   * #eptPagingWrite}.
   */
  public boolean guestPagingVerification;

  /**
   * VM-execution control "sub-page write permissions for EPT": SDM 29.3.4 "Sub-Page Write
   * Permissions".
   */
  public boolean subPageWrite;

  /** The sub-page-permission-table pointer. */
  public long sppTable;

  /** Forgets EPT and all that VM-execution controls say of translation, as a VM exit does. */
  public void leaveNonRoot() {
    eptp = 0;
    log = null;
    modeBasedExecute = false;
    hlat = false;
    eptPagingWrite = false;
    guestPagingVerification = false;
    subPageWrite = false;
  }

  /** Whether HLAT paging translates a linear address, in a mode that has it. */
  public boolean isHlat(long linear) {
    return hlat && (hlatPrefixSize == 0 || linear < 0);
  }

  /** The control bits that rights depend on, packed; PKRU and IA32_PKRS apart. */
  public int rights() {
    return (wp ? 1 : 0)
        | (smep ? 1 << 1 : 0)
        | (smap ? 1 << 2 : 0)
        | (nxe ? 1 << 3 : 0)
        | (pke ? 1 << 4 : 0)
        | (pks ? 1 << 5 : 0)
        | (modeBasedExecute ? 1 << 6 : 0);
  }
}
