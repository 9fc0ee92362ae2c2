package org.kvm4j.kvm.syscall;

import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What a kernel is opened with and the system-call surface has no argument for: an emulated
 * machine's CPU model, clock and execution engine. Options that are not given are as the kernel has
 * them.
 */
public final class KernelOptions {

  /**
   * The CPU model of the emulated host, and features to add to it and to take away: {@code
   * NAME[,+feature,-feature...]}. Whether it is well said only the kernel knows: {@link
   * KernelProvider#describe} tells.
   */
  public static final String CPU = "cpu";

  /** The features that {@link #CPU} can add; not an option of its own. */
  public static final String CPU_FEATURE = "cpu-feature";

  /**
   * {@code host}: time is the host's; {@code virtual}: time is driven by the instructions that the
   * guest retires, and a run is reproducible.
   */
  public static final String CLOCK = "clock";

  /**
   * How long an instruction takes on the virtual clock, in ns: 1 to 1000. The more it is, the fewer
   * instructions go by while a guest waits for a time.
   */
  public static final String INSTRUCTION_TIME = "instruction-time";

  /** The real time when a VM on the virtual clock is made: 2000-01-01 00:00:00 UTC. */
  public static final Instant VIRTUAL_EPOCH = Instant.ofEpochSecond(946_684_800);

  /** The execution engine. */
  public static final String ENGINE = "engine";

  /**
   * {@code true}: what runs on virtual CPUs is on bare metal, in VMX root operation, with no
   * hypervisor beneath.
   */
  public static final String BARE_METAL = "bare-metal";

  /** What {@link Kernel#trace} can tell of; not an option of its own. */
  public static final String TRACE = "trace";

  /** No option at all. */
  public static final KernelOptions NONE = new KernelOptions(Map.of());

  private final Map<String, String> values;

  private KernelOptions(Map<String, String> values) {
    this.values = values;
  }

  /** These options and one more, or another value for one of them. */
  public KernelOptions with(String option, String value) {
    Map<String, String> more = new LinkedHashMap<>(values);
    more.put(option, value);
    return new KernelOptions(more);
  }

  /** The value of an option; empty if it was not given. */
  public Optional<String> get(String option) {
    return Optional.ofNullable(values.get(option));
  }

  /** The options that were given, with their values, in the order in which they were given. */
  public Map<String, String> asMap() {
    return Collections.unmodifiableMap(values);
  }

  /** Whether no option was given. */
  public boolean isEmpty() {
    return values.isEmpty();
  }

  @Override
  public String toString() {
    return values.toString();
  }
}
