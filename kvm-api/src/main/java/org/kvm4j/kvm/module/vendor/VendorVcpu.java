package org.kvm4j.kvm.module.vendor;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Instruction;

/**
 * One virtual CPU on one vendor's virtualization hardware: what the module above asks of VT-x or
 * AMD-V. The counterpart of Linux's {@code kvm_x86_ops}. Nothing above knows which vendor it is.
 *
 * <p>Guest state lives in the VMCS (or VMCB) and is read and written there; general registers, x87
 * and vector state, debug address registers and the MSRs that hardware does not switch stay in the
 * logical processor, as they do on hardware between an exit and the next entry.
 */
public interface VendorVcpu extends AutoCloseable {

  /** The logical processor that runs this virtual CPU. */
  Cpu cpu();

  /** Puts the guest's switched state to what it is after reset. */
  void reset();

  // ---- state ----

  long rip();

  void setRip(long rip);

  long rsp();

  void setRsp(long rsp);

  long rflags();

  void setRflags(long rflags);

  /** As the guest would read it. */
  long cr0();

  long cr3();

  /** As the guest would read it. */
  long cr4();

  long efer();

  void setCr0(long cr0);

  void setCr3(long cr3);

  void setCr4(long cr4);

  void setEfer(long efer);

  /** The guest's PAE page-directory-pointer-table registers. */
  long pdpte(int index);

  void setPdpte(int index, long value);

  /**
   * @param s {@link Cpu#ES} to {@link Cpu#TR}
   */
  void segment(int s, Segment out);

  void setSegment(int s, Segment in);

  /** The base of a segment register, as {@link #segment} has it. */
  long segmentBase(int s);

  /** The code segment is a 64-bit one. Takes no more than a look, as {@link #linearRip}. */
  boolean is64Bit();

  /** CS base plus RIP: below 64-bit mode, its low 32 bits. */
  long linearRip();

  /** The guest's privilege level: 0 in real mode, then SS.DPL. No more than a look, too. */
  int cpl();

  long gdtBase();

  int gdtLimit();

  void setGdt(long base, int limit);

  long idtBase();

  int idtLimit();

  void setIdt(long base, int limit);

  long dr7();

  void setDr7(long dr7);

  /**
   * An MSR that hardware switches with the guest: SYSENTER_*, FS_BASE, GS_BASE, PAT, DEBUGCTL, and
   * where it has them S_CET and INTERRUPT_SSP_TABLE_ADDR.
   */
  long switchedMsr(int index);

  void setSwitchedMsr(int index, long value);

  /** The guest's shadow-stack pointer; 0 where hardware has none. */
  long ssp();

  void setSsp(long ssp);

  /** Whether an MSR is one of {@link #switchedMsr}. */
  boolean isSwitchedMsr(int index);

  /** {@link Cpu#SHADOW_STI}, {@link Cpu#SHADOW_MOV_SS} or 0. */
  int interruptShadow();

  void setInterruptShadow(int shadow);

  boolean nmiMasked();

  void setNmiMasked(boolean masked);

  /** Pending debug exceptions of the guest. */
  long pendingDebug();

  void setPendingDebug(long value);

  /** What is added to the host's time-stamp counter, once that is multiplied. */
  void setTscOffset(long offset);

  /** Whether the hardware can multiply the time-stamp counter. */
  boolean canScaleTsc();

  /**
   * What the host's time-stamp counter is multiplied by.
   *
   * @param multiplier with 48 bits of fraction, above 0; only 1 unless {@link #canScaleTsc}
   */
  void setTscMultiplier(long multiplier);

  // ---- controls ----

  /** Which exceptions exit, a bit for each vector. */
  void setExceptionBitmap(int bitmap);

  void setInterruptWindow(boolean exiting);

  void setNmiWindow(boolean exiting);

  void setDebugRegisterExiting(boolean exiting);

  /** Bits of CR4 that the guest may not set: the attempt exits. */
  void setReservedCr4(long bits);

  /** Whether reads and writes of an MSR exit. */
  void setMsrExiting(int index, boolean read, boolean write);

  void setHltExiting(boolean exiting);

  /**
   * Whether loops of PAUSE exit.
   *
   * @param window how many ticks such a loop may last before it does; 0 if none exits
   * @param gap how many ticks lie between two PAUSEs of a loop at most
   */
  void setPauseExiting(int window, int gap);

  void setMwaitExiting(boolean exiting);

  /** Whether the guest has UMONITOR, UMWAIT and TPAUSE, if the processor can give it them. */
  void setUserWait(boolean enabled);

  /** Whether the guest has executed a HLT that did not exit, and waits. */
  boolean isHalted();

  /** A HLT that did not exit is over: RIP is behind it already. */
  void endHalt();

  /** The pointer to the nested page tables: EPTP, or nested CR3. */
  void setNestedPointer(long pointer);

  /** Drops what the processor cached of the nested page tables (INVEPT). */
  void flushNested();

  /** Drops what the processor cached of the guest's own page tables (INVVPID). */
  void flushGuest();

  // ---- entry and exit ----

  /** The event to be delivered by the next entry; it is dropped when the entry is done. */
  void inject(int type, int vector, boolean hasErrorCode, int errorCode, int instructionLength);

  /** Whether an event is waiting for the next entry. */
  boolean injecting();

  /** Takes back what {@link #inject} set. */
  void cancelInjection();

  /**
   * Enters the guest and runs it until it exits.
   *
   * @param budget instructions at most
   * @param exit what is known of the exit
   */
  void run(long budget, VmExit exit);

  /**
   * The code that has just exited, where the processor can still tell: right after {@link #run},
   * before any of the guest's state is changed. AMD-V gives it with a nested page fault; VT-x does
   * not, but here the processor's own translation of it is at hand.
   *
   * @return false if it cannot tell, or not all of the bytes are in one page
   */
  boolean executedCode(ExecutedCode out);

  /**
   * The instruction that has just caused a nested violation, as the processor has decoded it, if it
   * is a {@linkplain Instruction#isPlainMove plain move} whose access lies within a page; null if
   * that is not known.
   */
  default @Nullable Instruction violator() {
    return null;
  }

  /**
   * Words on the last exit, for people: which check a failed entry broke, or what led to a triple
   * fault; empty for other exits.
   */
  String explanation();

  @Override
  void close();
}
