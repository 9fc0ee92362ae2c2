package org.kvm4j.kvm.doctor;

import java.util.List;

/**
 * What there is to know of one backend.
 *
 * @param name {@code "emulated"} or {@code "native"}
 * @param verdict what it is good for
 * @param reason one line: why it is not available, or not as good as it could be; empty if all is
 *     well
 * @param remedy one line: what to do about that; empty if all is well
 * @param apiVersion 12; 0 if it could not be asked
 * @param vcpuMmapSize bytes of a vCPU's mapping; 0 if it could not be asked
 * @param capabilities every capability that is known of; empty if it could not be asked
 * @param modes how a tiny guest fared in each mode; empty if none could be tried
 */
public record BackendReport(
    String name,
    Verdict verdict,
    String reason,
    String remedy,
    int apiVersion,
    int vcpuMmapSize,
    List<CapabilityValue> capabilities,
    List<ModeResult> modes) {

  /** Copies the lists. */
  public BackendReport {
    capabilities = List.copyOf(capabilities);
    modes = List.copyOf(modes);
  }
}
