package org.kvm4j.kvm.doctor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ReportTests {
  private static final Report REPORT =
      new Report(
          Map.of("system", "Linux \"x\"\\\u0001"),
          List.of(
              new BackendReport(
                  "emulated",
                  Verdict.LIMITED,
                  "guests do not run in: 32-bit PAE paging",
                  "report this",
                  12,
                  12288,
                  List.of(
                      new CapabilityValue("KVM_CAP_IRQCHIP", 0, 1, 1),
                      new CapabilityValue("KVM_CAP_X2APIC_API", 129, 15, 11),
                      new CapabilityValue("KVM_CAP_X86_SMM", 117, 0, 0)),
                  List.of(
                      new ModeResult(GuestMode.REAL, Outcome.OK, "", 1234),
                      new ModeResult(GuestMode.PAE, Outcome.REFUSED, "KVM_SET_SREGS: EINVAL", 0))),
              new BackendReport(
                  "native",
                  Verdict.UNAVAILABLE,
                  "there is no /dev/kvm",
                  "sudo modprobe kvm_intel",
                  0,
                  0,
                  List.of(),
                  List.of())));

  @Test
  void as_text() {
    assertEquals(
        """
        Guests run on this machine:
          emulated  runs guests in some modes only
          native    not available

        system          Linux "x"\\\u0001

        emulated  runs guests in some modes only
          why: guests do not run in: 32-bit PAE paging
          do:  report this

          A tiny guest in each mode:
            16-bit real mode                               ok        1.23 us an exit
            32-bit PAE paging                              refused
                KVM_SET_SREGS: EINVAL
                what needs it: 32-bit kernels with PAE run in it

          API version 12, 12288 bytes of kvm_run mapping. Capabilities (number, value):
            KVM_CAP_IRQCHIP                             0  1
            KVM_CAP_X2APIC_API                        129  15, on a VM 11
            absent (value 0): X86_SMM 117

        native  not available
          why: there is no /dev/kvm
          do:  sudo modprobe kvm_intel
        """,
        TextReport.of(REPORT, false));
  }

  @Test
  void colour_only_where_it_is_asked_for() {
    assertFalse(TextReport.of(REPORT, false).contains("\033"));
    assertTrue(TextReport.of(REPORT, true).contains("\033[31mnot available\033[0m"));
  }

  @Test
  void as_JSON() {
    assertEquals(
        """
        {
          "format": 1,
          "runsGuests": true,
          "machine": {
            "system": "Linux \\"x\\"\\\\\\u0001"
          },
          "backends": [
            {
              "name": "emulated",
              "verdict": "limited",
              "available": true,
              "runsGuests": true,
              "reason": "guests do not run in: 32-bit PAE paging",
              "remedy": "report this",
              "apiVersion": 12,
              "vcpuMmapSize": 12288,
              "modes": [
                {
                  "mode": "real",
                  "title": "16-bit real mode",
                  "outcome": "ok",
                  "detail": null,
                  "exitNanos": 1234
                },
                {
                  "mode": "pae",
                  "title": "32-bit PAE paging",
                  "outcome": "refused",
                  "detail": "KVM_SET_SREGS: EINVAL",
                  "exitNanos": null
                }
              ],
              "capabilities": [
                {
                  "name": "KVM_CAP_IRQCHIP",
                  "number": 0,
                  "value": 1,
                  "vmValue": 1
                },
                {
                  "name": "KVM_CAP_X2APIC_API",
                  "number": 129,
                  "value": 15,
                  "vmValue": 11
                },
                {
                  "name": "KVM_CAP_X86_SMM",
                  "number": 117,
                  "value": 0,
                  "vmValue": 0
                }
              ]
            },
            {
              "name": "native",
              "verdict": "unavailable",
              "available": false,
              "runsGuests": false,
              "reason": "there is no /dev/kvm",
              "remedy": "sudo modprobe kvm_intel",
              "apiVersion": null,
              "vcpuMmapSize": null,
              "modes": [],
              "capabilities": []
            }
          ]
        }
        """,
        JsonReport.of(REPORT));
  }

  @Test
  void long_lines_are_folded() {
    BackendReport backend =
        new BackendReport(
            "native",
            Verdict.UNAVAILABLE,
            "word ".repeat(100).strip(),
            "",
            0,
            0,
            List.of(),
            List.of());
    String text = TextReport.of(new Report(Map.of(), List.of(backend)), false);
    assertTrue(text.lines().allMatch(line -> line.length() <= 100), text);
    assertEquals(100, text.split("word", -1).length - 1);
  }
}
