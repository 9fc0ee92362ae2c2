package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.ARCHITECTURAL;
import static org.kvm4j.cpu.msr.MsrRows.any;
import static org.kvm4j.cpu.msr.MsrRows.bits;
import static org.kvm4j.cpu.msr.MsrRows.bitsOf;
import static org.kvm4j.cpu.msr.MsrRows.constant;
import static org.kvm4j.cpu.msr.MsrRows.with;
import static org.kvm4j.cpu.msr.MsrTable.IA32_A_PMC0;
import static org.kvm4j.cpu.msr.MsrTable.IA32_FIXED_CTR0;
import static org.kvm4j.cpu.msr.MsrTable.IA32_FIXED_CTR_CTRL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PERFEVTSEL0;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PERF_CAPABILITIES;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PERF_GLOBAL_CTRL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PERF_GLOBAL_OVF_CTRL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PERF_GLOBAL_STATUS;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PMC0;

import org.kvm4j.cpu.core.PerformanceCounters;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;

/** Performance counters. */
final class CounterMsrs {
  /** Of IA32_PERF_CAPABILITIES: all bits of performance counters can be written. */
  private static final long FULL_WIDTH_WRITES = 1 << 13;

  private CounterMsrs() {}

  static void add(MsrRows rows) {
    String source = "Architectural Performance Monitoring";
    Msr.Presence counters = with(Feature.ARCH_PERFMON);
    for (int n = 0; n < PerformanceCounters.MOST_GENERAL; n++) {
      int k = n;
      Msr.Presence general = model -> k < model.performanceCounters();
      rows.add(
          IA32_PMC0 + n,
          "IA32_PMC" + n,
          source,
          general,
          c -> c.counters.read(k),
          any((c, v) -> c.counters.write(k, (int) v)));
      rows.add(
          IA32_A_PMC0 + n,
          "IA32_A_PMC" + n,
          "Full-Width Writes to Performance Counter Registers",
          model -> general.on(model) && hasFullWidthWrites(model),
          c -> c.counters.read(k),
          counter(k));
      rows.add(
          IA32_PERFEVTSEL0 + n,
          "IA32_PERFEVTSEL" + n,
          source,
          general,
          c -> c.counters.select(k),
          bits(PerformanceCounters.SELECT_DEFINED, (c, v) -> c.counters.setSelect(k, v)));
    }
    for (int n = 0; n < PerformanceCounters.FIXED; n++) {
      int k = PerformanceCounters.FIRST_FIXED + n;
      rows.add(
          IA32_FIXED_CTR0 + n,
          "IA32_FIXED_CTR" + n,
          source,
          counters,
          c -> c.counters.read(k),
          counter(k));
    }
    rows.add(
        IA32_PERF_CAPABILITIES,
        "IA32_PERF_CAPABILITIES",
        ARCHITECTURAL,
        with(Feature.PDCM),
        c -> constant(c, IA32_PERF_CAPABILITIES, 0),
        MsrRows::refuse);
    rows.add(
        IA32_FIXED_CTR_CTRL,
        "IA32_FIXED_CTR_CTRL",
        source,
        counters,
        c -> c.counters.fixedControl(),
        bits(PerformanceCounters.FIXED_CONTROL_DEFINED, (c, v) -> c.counters.setFixedControl(v)));
    rows.add(
        IA32_PERF_GLOBAL_STATUS,
        "IA32_PERF_GLOBAL_STATUS",
        source,
        counters,
        c -> c.counters.status(),
        MsrRows::refuse);
    rows.add(
        IA32_PERF_GLOBAL_CTRL,
        "IA32_PERF_GLOBAL_CTRL",
        source,
        counters,
        c -> c.counters.globalControl(),
        bitsOf(
            c -> PerformanceCounters.defined(c.model), (c, v) -> c.counters.setGlobalControl(v)));
    rows.add(
        IA32_PERF_GLOBAL_OVF_CTRL,
        "IA32_PERF_GLOBAL_OVF_CTRL",
        source,
        counters,
        c -> 0,
        bitsOf(
            c -> PerformanceCounters.defined(c.model) | PerformanceCounters.STATUS_OTHERS,
            (c, v) -> c.counters.clearStatus(v)));
  }

  /** A writer of a whole counter. */
  private static Msr.Writer counter(int k) {
    return bitsOf(c -> c.counters.mask(), (c, v) -> c.counters.write(k, v));
  }

  private static boolean hasFullWidthWrites(CpuModel model) {
    return model.has(Feature.PDCM)
        && (model.msrs().getOrDefault(IA32_PERF_CAPABILITIES, 0L) & FULL_WIDTH_WRITES) != 0;
  }
}
