/**
 * Control-flow enforcement technology (CET): shadow stacks, and tracking of indirect branches. SDM
 * Vol. 1, "Control-flow Enforcement Technology (CET)".
 */
@org.jspecify.annotations.NullMarked
package org.kvm4j.cpu.cet;
