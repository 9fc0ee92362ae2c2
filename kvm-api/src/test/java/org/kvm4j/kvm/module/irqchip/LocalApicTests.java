package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.kvm.module.irqchip.ApicPage.*;

import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;

/** One local APIC: registers, priorities, ends, modes, state. */
class LocalApicTests {
  private final Rig rig = new Rig(1);
  private final Rig.Processor cpu = rig.cpu(0).enable();
  private final LocalApic apic = cpu.apic;

  private boolean fixed(int vector) {
    return apic.accept(ApicMessage.FIXED, vector, true, false);
  }

  @Test
  void registersAfterReset() {
    Rig.Processor fresh = new Rig(2).cpu(1);
    assertEquals(1 << 24, fresh.read(ID));
    assertEquals(0x50014, fresh.read(VERSION));
    assertEquals(0xff, fresh.read(SPURIOUS));
    assertEquals(-1, fresh.read(DESTINATION_FORMAT));
    for (int lvt : new int[] {LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1}) {
      assertEquals(0x10000, fresh.read(lvt));
    }
    assertEquals(0x10000, fresh.read(LVT_ERROR));
    assertEquals(0x700, new Rig(1).cpu(0).read(LVT_LINT0), "virtual wire of the boot processor");
    assertEquals(0xfee00800L, fresh.apic.base());
    assertEquals(0xfee00900L, apic.base());
  }

  @Test
  void theHighestRequestIsTakenFirst() {
    assertTrue(fixed(0x31));
    assertTrue(fixed(0x91));
    assertTrue(fixed(0x92));
    assertEquals(0x92, apic.acknowledge());
    assertEquals(NONE, apic.pending(), "0x91 is of the same class");
    assertEquals(0x90, cpu.read(PPR));
    cpu.write(EOI, 0);
    assertEquals(0x91, cpu.serve());
    assertEquals(0x31, cpu.serve());
    assertFalse(apic.mayHaveInterrupt());
  }

  @Test
  void thePerformanceEntryIsMaskedOnceItHasInterrupted() {
    apic.performanceInterrupt();
    assertEquals(NONE, apic.pending(), "masked since reset");
    cpu.write(LVT_PERFORMANCE, 0x61);
    apic.performanceInterrupt();
    assertEquals(0x61, cpu.serve());
    assertEquals(0x10061, cpu.read(LVT_PERFORMANCE));
    apic.performanceInterrupt();
    assertEquals(NONE, apic.pending());
  }

  @Test
  void taskPriorityHoldsBackItsClassAndLower() {
    cpu.write(TPR, 0x4f);
    assertEquals(0x4f, cpu.read(PPR));
    assertEquals(4, apic.cr8());
    fixed(0x4f);
    assertEquals(NONE, apic.pending());
    fixed(0x50);
    assertEquals(0x50, apic.acknowledge());
    assertEquals(0x50, cpu.read(PPR));
    apic.end();
    apic.setCr8(3);
    assertEquals(0x30, cpu.read(TPR));
    assertEquals(0x4f, apic.pending());
  }

  /** What IPI virtualization sends by the processor itself. */
  @Test
  void anInterruptOfTheProcessorLeavesTheCommandRegister() {
    Rig two = new Rig(2);
    Rig.Processor sender = two.cpu(0).enable();
    Rig.Processor other = two.cpu(1).enable();
    sender.write(ICR_HIGH, 5 << 24);
    sender.apic.sendFixed(0x7701ff, 0x61);
    assertEquals(0x61, other.serve(), "xAPIC mode takes bits 15:8");
    assertEquals(5 << 24, sender.read(ICR_HIGH));
    assertEquals(0, sender.read(ICR));
  }

  @Test
  void requestsBeforeServiceAreOne() {
    fixed(0x40);
    fixed(0x40);
    assertEquals(0x40, cpu.serve());
    assertEquals(NONE, cpu.serve());
  }

  @Test
  void onePendsWhileAnotherOfItIsInService() {
    fixed(0x40);
    apic.acknowledge();
    fixed(0x40);
    assertEquals(NONE, apic.pending());
    apic.end();
    assertEquals(0x40, apic.pending());
  }

  @Test
  void anEndWithoutAnInterruptIsNothing() {
    cpu.write(EOI, 0);
    assertEquals(0, cpu.read(PPR));
  }

  @Test
  void aDisabledOneTakesNothingFixedButNmis() {
    cpu.write(SPURIOUS, 0xff);
    assertFalse(fixed(0x40));
    assertTrue(apic.accept(ApicMessage.NMI, 0, true, false));
    assertTrue(cpu.news.contains("nmi"));
    cpu.write(LVT_TIMER, 0x30);
    assertEquals(0x10030, cpu.read(LVT_TIMER), "LVT entries stay masked");
    cpu.write(SPURIOUS, 0x1ff);
    assertEquals(0x10030, cpu.read(LVT_TIMER));
  }

  @Test
  void lvtBitsThatAreNotThereReadAsZero() {
    int[][] expected = {
      {LVT_TIMER, 0x710ff},
      {LVT_THERMAL, 0x117ff},
      {LVT_PERFORMANCE, 0x117ff},
      {LVT_LINT0, 0x1f7ff},
      {LVT_LINT1, 0x1f7ff},
      {LVT_ERROR, 0x110ff}
    };
    for (int[] e : expected) {
      cpu.write(e[0], -1);
      assertEquals(e[1], cpu.read(e[0]), () -> "LVT " + Integer.toHexString(e[0]));
    }
    apic.setFeatures(true, false);
    cpu.write(LVT_TIMER, -1);
    assertEquals(0x310ff, cpu.read(LVT_TIMER), "no TSC-deadline mode");
  }

  @Test
  void otherRegistersKeepTheirBits() {
    cpu.write(LOGICAL_DESTINATION, -1);
    assertEquals(0xff000000, cpu.read(LOGICAL_DESTINATION));
    cpu.write(DESTINATION_FORMAT, 0);
    assertEquals(0x0fffffff, cpu.read(DESTINATION_FORMAT));
    cpu.write(SPURIOUS, -1);
    assertEquals(0x3ff, cpu.read(SPURIOUS), "no suppression of EOI broadcasts");
    cpu.write(ID, 0x05ffffff);
    assertEquals(0x05000000, cpu.read(ID));
    cpu.write(ICR_HIGH, -1);
    assertEquals(0xff000000, cpu.read(ICR_HIGH));
    cpu.write(DIVIDE_CONFIGURATION, -1);
    assertEquals(0xb, cpu.read(DIVIDE_CONFIGURATION));
    cpu.write(TPR, -1);
    assertEquals(0xff, cpu.read(TPR));
    assertEquals(0, cpu.read(ARBITRATION_PRIORITY));
    cpu.write(PPR, 5);
    cpu.write(VERSION, 5);
    assertEquals(0x50014, cpu.read(VERSION));
  }

  @Test
  void correctedMachineChecksHaveAnLvtEntryOfTheirOwn() {
    cpu.write(LVT_CMCI, 0x55);
    assertEquals(0, cpu.read(LVT_CMCI));
    apic.setCorrectedMachineCheck(true);
    assertEquals(0x60014, cpu.read(VERSION));
    assertEquals(0x10000, cpu.read(LVT_CMCI));
    cpu.write(LVT_CMCI, 0x55);
    apic.signalCorrectedMachineCheck();
    assertEquals(0x55, cpu.serve());
  }

  @Test
  void onlyAligned32BitWritesCount() {
    apic.write(TPR, 1, 0x20);
    apic.write(TPR, 2, 0x20);
    apic.write(TPR + 4, 4, 0x20);
    assertEquals(0, cpu.read(TPR));
    cpu.write(LOGICAL_DESTINATION, 0x12000000);
    assertEquals(0x12, apic.read(LOGICAL_DESTINATION + 3, 1));
    assertEquals(0x1200, apic.read(LOGICAL_DESTINATION + 2, 2));
    assertEquals(0, apic.read(LOGICAL_DESTINATION + 2, 4), "past the register");
    assertEquals(0, apic.read(LOGICAL_DESTINATION, 8));
    assertEquals(0, apic.read(LOGICAL_DESTINATION + 4, 4));
  }

  @Test
  void errorsAreLatchedByAWrite() {
    cpu.write(LVT_ERROR, 0xee);
    cpu.write(LVT_TIMER + 0x100, 0); // no such register
    assertEquals(0, cpu.read(ERROR_STATUS));
    assertEquals(0xee, cpu.serve());
    cpu.write(ERROR_STATUS, 0);
    assertEquals(0x80, cpu.read(ERROR_STATUS));
    cpu.write(ERROR_STATUS, 0);
    assertEquals(0, cpu.read(ERROR_STATUS));
    cpu.write(ICR, 0x4000f | ApicMessage.SELF << 18);
    cpu.write(ERROR_STATUS, 0);
    assertEquals(0x60, cpu.read(ERROR_STATUS), "sent and received an illegal vector");
    assertEquals(0xee, cpu.serve());
    assertEquals(NONE, cpu.serve());
  }

  @Test
  void pageAndMsrsAreForTheirModes() {
    long[] out = new long[1];
    assertFalse(apic.readMsr(0x802, out));
    assertFalse(apic.writeMsr(0x80b, 0));
    cpu.widen();
    assertTrue(apic.readMsr(0x802, out));
    assertEquals(0, out[0]);
    assertTrue(apic.readMsr(0x80d, out));
    assertEquals(1, out[0], "LDR is fixed");
    assertFalse(apic.writeMsr(0x802, 0), "ID");
    assertFalse(apic.writeMsr(0x80d, 0), "LDR");
    assertFalse(apic.readMsr(0x80e, out), "DFR");
    assertFalse(apic.writeMsr(0x80e, 0));
    assertFalse(apic.readMsr(0x80b, out), "EOI");
    assertTrue(apic.writeMsr(0x80b, 0));
    assertFalse(apic.readMsr(0x831, out), "ICR high");
    assertFalse(apic.readMsr(0x83f, out), "self IPI");
    assertFalse(apic.readMsr(0x840, out));
    assertFalse(apic.readMsr(0x8ff, out));
    assertFalse(apic.writeMsr(0x828, 1), "ESR takes 0 alone");
    assertTrue(apic.writeMsr(0x828, 0));
    assertFalse(apic.writeMsr(0x808, 1L << 32), "bits past 32");
    assertTrue(apic.writeMsr(0x808, 0x30));
    assertTrue(apic.readMsr(0x808, out));
    assertEquals(0x30, out[0]);
    assertFalse(apic.writeMsr(0x830, 1 << 13));
    assertFalse(apic.writeMsr(0x830, 1 << 16));
    assertFalse(apic.writeMsr(0x830, 1L << 20));
    assertTrue(apic.writeMsr(0x830, 0x5_0000_1040L | 1 << 12));
    assertTrue(apic.readMsr(0x830, out));
    assertEquals(0x5_0000_0040L, out[0], "never busy");
  }

  @Test
  void selfIpis() {
    cpu.write(ICR, ApicMessage.SELF << 18 | 0x41);
    assertEquals(0x41, cpu.serve());
    cpu.widen();
    assertTrue(apic.writeMsr(0x83f, 0x42));
    assertFalse(apic.writeMsr(0x83f, 0x142));
    assertEquals(0x42, cpu.serve());
  }

  @Test
  void transitionsOfTheBaseRegister() {
    long on = LocalApic.DEFAULT_BASE | LocalApic.BASE_ENABLE | LocalApic.BASE_BSP;
    long off = LocalApic.DEFAULT_BASE | LocalApic.BASE_BSP;
    long wide = on | LocalApic.BASE_X2APIC;
    assertFalse(apic.setBase(off | LocalApic.BASE_X2APIC, false), "x2APIC needs EN");
    assertFalse(apic.setBase(off | LocalApic.BASE_X2APIC, true));
    assertTrue(apic.setBase(wide, false));
    assertFalse(apic.setBase(on, false), "not back to xAPIC");
    assertTrue(apic.setBase(off, false));
    assertFalse(apic.setBase(wide, false), "not to x2APIC at once");
    assertTrue(apic.setBase(on, false));
    assertTrue(apic.setBase(wide, false));
    assertTrue(apic.setBase(on, true), "user space may");
    assertTrue(apic.setBase(off, true));
    assertTrue(apic.setBase(wide, true));
    apic.setFeatures(false, false);
    assertFalse(apic.setBase(wide, true), "CPUID has no x2APIC");
  }

  @Test
  void whileItIsOffNothingComesInAndThePicGoesStraightIn() {
    cpu.write(LVT_LINT0, 0x10000);
    assertFalse(apic.acceptsPic());
    fixed(0x40);
    assertTrue(apic.setBase(LocalApic.DEFAULT_BASE, false));
    assertTrue(apic.acceptsPic());
    assertFalse(fixed(0x41));
    assertEquals(NONE, apic.pending());
  }

  @Test
  void lint0LetsThePicIn() {
    assertTrue(apic.acceptsPic());
    cpu.write(LVT_LINT0, 0x10700);
    assertFalse(apic.acceptsPic());
    cpu.write(LVT_LINT0, 0x00000);
    assertFalse(apic.acceptsPic());
    cpu.write(LVT_LINT0, 0x00700);
    assertTrue(apic.acceptsPic());
    rig.initPics();
    cpu.news.clear();
    rig.pulse(4);
    assertEquals(List.of("wake"), cpu.news);
  }

  @Test
  void initAndStartup() {
    assertTrue(apic.accept(ApicMessage.STARTUP, 0x12, true, false));
    assertTrue(apic.accept(ApicMessage.INIT, 0, true, true));
    assertFalse(apic.accept(ApicMessage.INIT, 0, false, true), "the end of an INIT is nothing");
    assertTrue(apic.hasStartEvents());
    assertEquals(-1, apic.takeStartup(), "INIT forgets what came before");
    assertTrue(apic.takeInit());
    assertFalse(apic.takeInit());
    apic.accept(ApicMessage.STARTUP, 0x9f, true, false);
    assertEquals(0x9f, apic.takeStartup());
    assertFalse(apic.hasStartEvents());
  }

  @Test
  void initKeepsModeAndId() {
    cpu.write(TPR, 0x20);
    fixed(0x40);
    cpu.widen();
    apic.reset(true, true, true);
    assertTrue(apic.isWide());
    assertEquals(0, apic.taskPriority());
    assertFalse(apic.mayHaveInterrupt());
    long[] out = new long[1];
    assertTrue(apic.readMsr(0x80d, out));
    assertEquals(1, out[0]);
    apic.reset(false, true, false);
    assertFalse(apic.isWide());
    assertEquals(0x10000, cpu.read(LVT_LINT0), "without the quirk");
  }

  @Test
  void accessesOfTaskPriorityAreTold() {
    cpu.news.clear();
    cpu.read(TPR);
    cpu.write(TPR, 0);
    assertEquals(List.of("tpr read", "tpr write"), cpu.news);
  }

  @Test
  void theStateGoesOutAndInAgain() {
    cpu.write(LOGICAL_DESTINATION, 0x02000000);
    cpu.write(TPR, 0x10);
    fixed(0x61);
    fixed(0x71);
    apic.acknowledge();
    ByteBuffer b = Rig.buffer(SIZE);
    apic.save(b, 0);
    assertEquals(0x70, b.getInt(PPR));
    assertEquals(1 << 17, b.getInt(ISR + 0x30));
    assertEquals(2, b.getInt(IRR + 0x30));
    Rig.Processor other = new Rig(1).cpu(0);
    assertTrue(other.apic.load(b, 0));
    assertEquals(NONE, other.apic.pending());
    other.apic.end();
    assertEquals(0x61, other.serve());
    ByteBuffer c = Rig.buffer(SIZE);
    assertTrue(apic.load(b, 0));
    apic.save(c, 0);
    assertEquals(b, c);
  }

  @Test
  void theStateOfX2apicModeHasIdsInEitherForm() {
    Rig three = new Rig(3);
    Rig.Processor p = three.cpu(2).widen();
    p.apic.writeMsr(0x830, 0x7_0000_0040L);
    ByteBuffer b = Rig.buffer(SIZE);
    p.apic.save(b, 0);
    assertEquals(2 << 24, b.getInt(ID));
    assertEquals(4, b.getInt(LOGICAL_DESTINATION));
    assertEquals(0x40, b.getInt(ICR));
    assertEquals(7, b.getInt(ICR_HIGH));
    assertTrue(p.apic.load(b, 0));
    long[] out = new long[1];
    p.apic.readMsr(0x830, out);
    assertEquals(0x7_0000_0040L, out[0]);
    three.chips.setX2apicApi(true, false);
    p.apic.save(b, 0);
    assertEquals(2, b.getInt(ID));
    assertTrue(p.apic.load(b, 0));
    b.putInt(ID, 3);
    assertFalse(p.apic.load(b, 0), "another's ID");
  }

  @Test
  void summaryOfPrioritiesForAVirtualApicPage() {
    cpu.write(TPR, 0x21);
    fixed(0x53);
    apic.acknowledge();
    fixed(0x64);
    assertEquals(0x64_00_50_21, apic.summary());
  }
}
