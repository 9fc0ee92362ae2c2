package org.kvm4j.kvm.uapi;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/** All structs of the uapi that are stated here, by their C names. */
public final class Structs {

  /** Every layout. */
  public static final List<StructLayout> ALL =
      List.of(
          KvmMsrList.LAYOUT,
          KvmCpuid2.LAYOUT,
          KvmCpuidEntry2.LAYOUT,
          KvmDirtyLog.LAYOUT,
          KvmUserspaceMemoryRegion.LAYOUT,
          KvmIrqLevel.LAYOUT,
          KvmIrqchip.LAYOUT,
          KvmPicState.LAYOUT,
          KvmIoapicState.LAYOUT,
          KvmPitConfig.LAYOUT,
          KvmPitState2.LAYOUT,
          KvmPitChannelState.LAYOUT,
          KvmCoalescedMmioZone.LAYOUT,
          KvmCoalescedMmio.LAYOUT,
          KvmCoalescedMmioRing.LAYOUT,
          KvmIrqRouting.LAYOUT,
          KvmIrqRoutingEntry.LAYOUT,
          KvmIrqRoutingIrqchip.LAYOUT,
          KvmIrqRoutingMsi.LAYOUT,
          KvmIrqfd.LAYOUT,
          KvmIoeventfd.LAYOUT,
          KvmMsi.LAYOUT,
          KvmClockData.LAYOUT,
          KvmEnableCap.LAYOUT,
          KvmRegs.LAYOUT,
          KvmSregs.LAYOUT,
          KvmSregs2.LAYOUT,
          KvmSegment.LAYOUT,
          KvmDtable.LAYOUT,
          KvmInterrupt.LAYOUT,
          KvmMsrs.LAYOUT,
          KvmMsrEntry.LAYOUT,
          KvmFpu.LAYOUT,
          KvmLapicState.LAYOUT,
          KvmMpState.LAYOUT,
          KvmVcpuEvents.LAYOUT,
          KvmDebugregs.LAYOUT,
          KvmXsave.LAYOUT,
          KvmXcrs.LAYOUT,
          KvmXcr.LAYOUT,
          KvmSyncRegs.LAYOUT,
          KvmPitState.LAYOUT,
          KvmReinjectControl.LAYOUT,
          KvmMsrFilter.LAYOUT,
          KvmMsrFilterRange.LAYOUT,
          KvmClearDirtyLog.LAYOUT,
          KvmDirtyGfn.LAYOUT,
          KvmCreateDevice.LAYOUT,
          KvmDeviceAttr.LAYOUT,
          KvmTranslation.LAYOUT,
          KvmCpuid.LAYOUT,
          KvmCpuidEntry.LAYOUT,
          KvmSignalMask.LAYOUT,
          KvmTprAccessCtl.LAYOUT,
          KvmVapicAddr.LAYOUT,
          KvmGuestDebug.LAYOUT,
          KvmGuestDebugArch.LAYOUT,
          KvmDebugExitArch.LAYOUT,
          KvmNestedState.LAYOUT,
          KvmVmxNestedStateHdr.LAYOUT,
          KvmSvmNestedStateHdr.LAYOUT,
          KvmStatsHeader.LAYOUT,
          KvmStatsDesc.LAYOUT,
          KvmX86Mce.LAYOUT,
          KvmRun.LAYOUT);

  private static final Map<String, StructLayout> BY_NAME =
      ALL.stream().collect(Collectors.toUnmodifiableMap(StructLayout::name, Function.identity()));

  private Structs() {}

  /** The layout of a struct by its C name without {@code struct}, such as {@code "kvm_regs"}. */
  public static Optional<StructLayout> of(String name) {
    return Optional.ofNullable(BY_NAME.get(name));
  }
}
